package ai.phoneproof.pixels.filters

import kotlin.math.floor
import kotlin.math.min

/** Copies for each target pixel one source pixel. */
internal class Nearest(
    sourceHeight: Int,
    private val rows: IntArray,
    columns: IntArray,
    private val channels: Int,
) : ByteResizer {
    private val starts = IntArray(columns.size) { columns[it] * channels }

    override val neededRows =
        BooleanArray(sourceHeight).also { needed -> for (row in rows) needed[row] = true }

    override fun resize(source: ByteRaster, target: ByteRaster) {
        for (y in rows.indices) {
            val from = source.row(rows[y])
            if (channels == 3) {
                copyThree(source.values, from, target.values, target.row(y))
            } else {
                copyOne(source.values, from, target.values, target.row(y))
            }
        }
    }

    private fun copyThree(source: ByteArray, from: Int, target: ByteArray, to: Int) {
        var at = to
        for (start in starts) {
            val pixel = from + start
            target[at] = source[pixel]
            target[at + 1] = source[pixel + 1]
            target[at + 2] = source[pixel + 2]
            at += 3
        }
    }

    private fun copyOne(source: ByteArray, from: Int, target: ByteArray, to: Int) {
        for (x in starts.indices) target[to + x] = source[from + starts[x]]
    }
}

/** Pillow's positions: added up, not multiplied, so the error of the additions is part of them. */
internal fun pillowNearest(source: Int, target: Int): IntArray {
    val scale = source.toDouble() / target
    var position = scale * 0.5
    return IntArray(target) {
        val index = min(floor(position).toInt(), source - 1)
        position += scale
        index
    }
}

/** OpenCV's positions: `floor(x * scale)`. */
internal fun openCvNearest(source: Int, target: Int): IntArray {
    val scale = openCvScale(source, target)
    return IntArray(target) { min(floor(it * scale).toInt(), source - 1) }
}
