package ai.phoneproof.pixels

import ai.phoneproof.contract.Size
import ai.phoneproof.pixels.filters.ByteRaster

/**
 * What a run of crops and pads comes to: which part of the image is seen where in the frame, and
 * what surrounds it.
 *
 * @param size of the image.
 * @param steps crops and pads only.
 */
internal class Placement(size: Size, steps: List<GeometryStep>) {
    /** The frame that results. */
    val frame: Size = if (steps.isEmpty()) size else Size(steps.last().height, steps.last().width)

    private val image = Extent(0, 0, size)

    /** The part of the image that no crop has cut off so far. */
    private var seen = Extent(0, 0, size)

    /** What each pad found, in the coordinates of the frame, with the value it put around it. */
    private val inner = ArrayList<Pair<Extent, List<Int>>>()

    init {
        var current = size
        for (step in steps) {
            when (step) {
                is CropStep -> {
                    moveAll(-step.top, -step.left)
                    seen = seen.inside(Size(step.height, step.width))
                }

                is PadStep -> {
                    moveAll(step.top, step.left)
                    inner.add(Extent(step.top, step.left, current) to step.value)
                }

                is ResizeStep -> error("a resize is no placement")
            }
            current = Size(step.height, step.width)
        }
    }

    /** Where the visible part of the image begins in the frame, and its size (may be 0). */
    val top = seen.top
    val left = seen.left
    val height = seen.size.height
    val width = seen.size.width

    /** Where the visible part begins in the image. */
    val sourceTop = top - image.top
    val sourceLeft = left - image.left

    val hasPads: Boolean get() = inner.isNotEmpty()

    private fun moveAll(down: Int, right: Int) {
        image.move(down, right)
        seen.move(down, right)
        for ((extent, _) in inner) extent.move(down, right)
    }

    /**
     * What the pads put into row [y] of the frame, one byte a channel; anything where the image is.
     *
     * @param reversed the values are in the opposite channel order of the pixels.
     */
    fun paintedRow(y: Int, channels: Int, reversed: Boolean): ByteArray {
        val row = ByteArray(frame.width * channels)
        // From the outermost pad inwards: each covers what the next one does not.
        for (number in inner.indices.reversed()) {
            val value = inner[number].second.let { if (reversed) it.reversed() else it }
            val outside = if (number + 1 < inner.size) inner[number + 1].first else null
            for (x in 0 until frame.width) {
                if (outside != null && !outside.holds(y, x)) continue
                for (c in 0 until channels) row[x * channels + c] = value[c].toByte()
            }
        }
        return row
    }

    /** A frame with its pads painted, to copy the image into. */
    fun canvas(channels: Int, reversed: Boolean): ByteRaster {
        val canvas = ByteRaster.filled(frame.height, frame.width, channels)
        for (y in 0 until frame.height) {
            paintedRow(y, channels, reversed).copyInto(canvas.values, canvas.row(y))
        }
        return canvas
    }

    private class Extent(var top: Int, var left: Int, val size: Size) {
        fun move(down: Int, right: Int) {
            top += down
            left += right
        }

        /** What of this lies in a frame of [frame]. */
        fun inside(frame: Size): Extent {
            val firstRow = top.coerceIn(0, frame.height)
            val firstColumn = left.coerceIn(0, frame.width)
            val rows = (top + size.height).coerceIn(firstRow, frame.height) - firstRow
            val columns = (left + size.width).coerceIn(firstColumn, frame.width) - firstColumn
            return Extent(firstRow, firstColumn, Size(rows, columns))
        }

        fun holds(y: Int, x: Int): Boolean =
            y - top in 0 until size.height && x - left in 0 until size.width
    }
}
