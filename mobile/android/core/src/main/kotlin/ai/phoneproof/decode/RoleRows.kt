package ai.phoneproof.decode

import ai.phoneproof.BindingError
import ai.phoneproof.contract.Activation
import ai.phoneproof.contract.Axis
import ai.phoneproof.contract.OutputBinding
import kotlin.math.exp

private val VALUE_AXES = setOf(Axis.COORD, Axis.CLASS, Axis.CHANNEL)

/** Row order of the anchors of one level: YOLOv5's, where a cell has several. */
internal val SHAPE_FIRST: List<Axis> = listOf(Axis.ANCHOR, Axis.Y, Axis.X)

/** Row order of SSD's priors. */
internal val CELL_FIRST: List<Axis> = listOf(Axis.Y, Axis.X, Axis.ANCHOR)

/**
 * One role of one tensor as rows (anchors) of values, in whatever order the file has its axes.
 * Nothing is moved: value v of row r is at `rowAt[r] + valueAt[v]` of the tensor.
 */
internal class RoleRows(
    val output: OutputBinding,
    private val tensor: TensorFloats,
    order: List<Axis>,
) {
    private val rowAt: IntArray
    private val valueAt: IntArray

    /** Steps from row to row and from value to value where they are regular, else 0. */
    private val rowStep: Int
    private val valueStep: Int

    val rows: Int get() = rowAt.size
    val width: Int get() = valueAt.size
    val activation: Activation get() = output.activation

    init {
        val layout = AxisLayout(output, order)
        rowAt = layout.rowOffsets()
        valueAt = layout.valueOffsets()
        rowStep = step(rowAt)
        valueStep = step(valueAt)
    }

    /** The dequantised value, before the activation. */
    fun raw(row: Int, value: Int): Float = tensor.values[rowAt[row] + valueAt[value]]

    /** The value after the activation; softmax runs over a row, see [softmax]. */
    fun activated(row: Int, value: Int): Float {
        val raw = raw(row, value)
        return if (activation == Activation.SIGMOID) sigmoid(raw) else raw
    }

    /** Row [row] after the activation, into [out]. */
    fun activatedRow(row: Int, out: FloatArray) {
        for (v in valueAt.indices) out[v] = activated(row, v)
        if (activation == Activation.SOFTMAX) softmax(out, valueAt.size)
    }

    /** Sets [flags] from [first] on where one of the [columns] of a row is greater than [limit]. */
    fun flagAbove(limit: Float, columns: IntArray, flags: BooleanArray, first: Int) {
        if (rowStep == 1) {
            for (column in columns) flagColumn(rowAt[0] + valueAt[column], limit, flags, first)
        } else {
            for (row in rowAt.indices) {
                if (anyAbove(row, limit, columns)) flags[first + row] = true
            }
        }
    }

    private fun flagColumn(from: Int, limit: Float, flags: BooleanArray, first: Int) {
        val values = tensor.values
        for (row in 0 until rowAt.size) {
            if (values[from + row] > limit) flags[first + row] = true
        }
    }

    private fun anyAbove(row: Int, limit: Float, columns: IntArray): Boolean {
        val values = tensor.values
        val from = rowAt[row]
        for (column in columns) if (values[from + valueAt[column]] > limit) return true
        return false
    }

    private fun step(offsets: IntArray): Int {
        if (offsets.size < 2) return 1
        val step = offsets[1] - offsets[0]
        for (i in 1 until offsets.size) if (offsets[i] - offsets[i - 1] != step) return 0
        return step
    }
}

/** `1 / (1 + exp(-x))` in float32. */
internal fun sigmoid(x: Float): Float = 1f / (1f + exp(-x))

/** In place, over the first [count] values; a NaN makes all of them NaN. */
internal fun softmax(values: FloatArray, count: Int) {
    var largest = Float.NEGATIVE_INFINITY
    for (i in 0 until count) largest = maxOf(largest, values[i])
    var sum = 0.0
    for (i in 0 until count) {
        values[i] = exp(values[i] - largest)
        sum += values[i]
    }
    val total = sum.toFloat()
    for (i in 0 until count) values[i] = values[i] / total
}

/** Where rows and values of a role lie in its tensor, from the names of the axes. */
private class AxisLayout(private val output: OutputBinding, order: List<Axis>) {
    private val sides = output.shape.drop(1)
    private val axes = output.axes
    private val strides = IntArray(sides.size)

    /** Side and stride of each axis that makes rows, the outermost first. */
    private val outer = ArrayList<Pair<Int, Int>>()
    private val inner: IntArray

    init {
        val named = axes.size == sides.size && axes.distinct().size == axes.size
        if (!named || axes.count { it in VALUE_AXES } > 1) {
            throw undescribed("name every axis after the batch once, one of coord, class, channel")
        }
        var stride = 1
        for (axis in sides.indices.reversed()) {
            strides[axis] = stride
            stride *= sides[axis]
        }
        for (axis in order.filter { it in axes }) outer.add(axes.indexOf(axis).let(::sideAndStride))
        val values = axes.indices.filter { axes[it] == Axis.BIN || axes[it] in VALUE_AXES }
        inner = offsets(values.map(::sideAndStride))
        if (output.packed != 1) unpack(order)
    }

    private fun sideAndStride(axis: Int): Pair<Int, Int> = sides[axis] to strides[axis]

    /** Values of a packed axis: anchors first, then the values of each. */
    private val valuesOfOne: Int get() = inner.size / output.packed

    private fun unpack(order: List<Axis>) {
        val packed = output.packed
        val taken = Axis.ANCHOR in axes || Axis.BIN in axes
        if (packed < 1 || inner.size % packed != 0 || taken) {
            throw undescribed(
                "$packed anchors packed in ${inner.size} values must divide them, and there is " +
                    "no axis of anchors or bins then",
            )
        }
        val place = order.takeWhile { it != Axis.ANCHOR }.count { it in axes }
        outer.add(place, packed to if (packed > 1) inner[valuesOfOne] - inner[0] else 0)
    }

    fun rowOffsets(): IntArray = offsets(outer)

    fun valueOffsets(): IntArray {
        val count = valuesOfOne
        val (first, end) = output.slice ?: (0 to count)
        if (first < 0 || first >= end || end > count) {
            throw BindingError(
                "the slice of output \"${output.tensor}\" is outside the tensor",
                "[$first, $end) of $count values",
                "use the binding that was written for this file",
            )
        }
        return inner.copyOfRange(first, end)
    }

    private fun offsets(axes: List<Pair<Int, Int>>): IntArray =
        axes.fold(intArrayOf(0)) { offsets, (side, stride) ->
            IntArray(offsets.size * side) { offsets[it / side] + it % side * stride }
        }

    private fun undescribed(nextStep: String): BindingError = BindingError(
        "the axes of output \"${output.tensor}\" do not describe its shape",
        "axes ${axes.map { it.name.lowercase() }} for shape ${output.shape} (batch first)",
        nextStep,
    )
}
