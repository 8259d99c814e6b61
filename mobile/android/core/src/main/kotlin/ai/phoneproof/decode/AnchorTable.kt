package ai.phoneproof.decode

import ai.phoneproof.BindingError
import ai.phoneproof.contract.Axis
import ai.phoneproof.contract.GridAnchors
import ai.phoneproof.contract.OutputBinding
import ai.phoneproof.contract.PriorAnchors
import ai.phoneproof.contract.Size
import ai.phoneproof.contract.YoloAnchors
import kotlin.io.encoding.Base64

private const val ROW_BYTES = 16
private const val MOST_PRIORS = 1_000_000

/**
 * Anchors as five float32 columns [x, y, stride, width, height] a row, in the order heads are
 * concatenated: level, anchor shape, row, column.
 */
internal class AnchorTable private constructor(
    val x: FloatArray,
    val y: FloatArray,
    val stride: FloatArray,
    val width: FloatArray,
    val height: FloatArray,
) {
    companion object {
        /** Anchors of the cells of each level. */
        fun ofGrid(
            strides: List<Int>,
            shapes: List<List<Pair<Double, Double>>>,
            cells: List<Size>,
        ): AnchorTable {
            val count = strides.indices.sumOf {
                shapes[it].size * cells[it].height * cells[it].width
            }
            val columns = List(5) { FloatArray(count) }
            var at = 0
            for (level in strides.indices) {
                for ((wide, high) in shapes[level]) {
                    for (cell in 0 until cells[level].height * cells[level].width) {
                        columns[0][at] = (cell % cells[level].width).toFloat()
                        columns[1][at] = (cell / cells[level].width).toFloat()
                        columns[2][at] = strides[level].toFloat()
                        columns[3][at] = wide.toFloat()
                        columns[4][at] = high.toFloat()
                        at++
                    }
                }
            }
            return AnchorTable(columns[0], columns[1], columns[2], columns[3], columns[4])
        }

        /** Centres and sides of SSD priors, packed in a binding. */
        fun ofPriors(anchors: PriorAnchors, boxes: Int): AnchorTable {
            val rows = priorValues(anchors)
            if (anchors.count != boxes) {
                throw BindingError(
                    "the number of boxes is not that of the priors",
                    "$boxes boxes, ${anchors.count} priors",
                    "give one prior for each box, in the order of the model's output",
                )
            }
            val columns = List(4) { column -> FloatArray(boxes) { rows[it * 4 + column] } }
            return AnchorTable(columns[0], columns[1], FloatArray(0), columns[2], columns[3])
        }

        private fun priorValues(anchors: PriorAnchors): FloatArray {
            val bytes = try {
                Base64.decode(anchors.data)
            } catch (error: IllegalArgumentException) {
                throw damaged("text that is not base64", error)
            }
            if (anchors.count !in 1..MOST_PRIORS || bytes.size != anchors.count * ROW_BYTES) {
                throw damaged("${bytes.size} bytes for ${anchors.count} rows of $ROW_BYTES", null)
            }
            val values = FloatArray(anchors.count * 4) { index ->
                var bits = 0
                for (k in 3 downTo 0) {
                    bits = (bits shl 8) or (bytes[index * 4 + k].toInt() and 255)
                }
                Float.fromBits(bits)
            }
            if (!values.all { it.isFinite() }) throw damaged("a NaN or an infinity", null)
            return values
        }

        private fun damaged(found: String, cause: Exception?): BindingError = BindingError(
            "the priors of the binding are damaged",
            found,
            "use the binding as it was written with this file",
            cause,
        )
    }
}

/** Strides and, for each, the shapes of a cell's anchors in pixels. */
internal class GridShape(val strides: List<Int>, val shapes: List<List<Pair<Double, Double>>>) {
    constructor(anchors: GridAnchors) :
        this(anchors.strides, anchors.strides.map { listOf(it.toDouble() to it.toDouble()) })

    constructor(anchors: YoloAnchors) : this(anchors.strides, anchors.wh)

    init {
        if (strides.isEmpty() || strides.min() < 1 || shapes.size != strides.size) {
            throw BindingError(
                "the anchors of the binding do not fit together",
                "strides $strides with ${shapes.size} lists of shapes",
                "use the binding as it was written with this file",
            )
        }
    }

    /**
     * Rows and columns of each level: of the tensors where all tell, else of the input, rounded
     * up, or down where only that makes [count] anchors.
     */
    fun cells(parts: List<OutputBinding>, size: Size, count: Int): List<Size> {
        val told = parts.mapNotNull(::levelCells)
        val cells = if (told.size == parts.size) told.also { check(it, size) } else null
        val found =
            cells ?: listOf(rounded(size, up = true), rounded(size, up = false))
                .firstOrNull { total(it) == count }
        if (found == null || found.size != strides.size || total(found) != count) {
            throw BindingError(
                "the number of boxes is not that of the anchor grid",
                "$count boxes; strides $strides at ${size.height}x${size.width}, grids $found",
                "check the levels and strides of the binding and its input size",
            )
        }
        return found
    }

    private fun total(cells: List<Size>): Int = cells.indices.sumOf {
        (shapes.getOrNull(it)?.size ?: 0) * cells[it].height * cells[it].width
    }

    private fun rounded(size: Size, up: Boolean): List<Size> = strides.map { stride ->
        val more = if (up) stride - 1 else 0
        Size((size.height + more) / stride, (size.width + more) / stride)
    }

    private fun levelCells(output: OutputBinding): Size? {
        val row = output.axes.indexOf(Axis.Y)
        val column = output.axes.indexOf(Axis.X)
        if (row < 0 || column < 0) return null
        return Size(output.shape[1 + row], output.shape[1 + column])
    }

    private fun check(cells: List<Size>, size: Size) {
        for ((stride, grid) in strides.zip(cells)) {
            val fits =
                near(grid.height, size.height, stride) && near(grid.width, size.width, stride)
            if (!fits) {
                throw BindingError(
                    "the grid of a level is not that of its stride",
                    "${grid.height}x${grid.width} cells for stride $stride at " +
                        "${size.height}x${size.width}",
                    "check the levels of the binding's outputs (swapped?) and the strides",
                )
            }
        }
    }

    private fun near(cells: Int, side: Int, stride: Int): Boolean =
        cells in side / stride..(side + stride - 1) / stride
}
