package ai.phoneproof.pixels

import ai.phoneproof.contract.Channels
import ai.phoneproof.contract.ImageInput
import ai.phoneproof.contract.Size
import ai.phoneproof.pixels.filters.ByteRaster
import ai.phoneproof.pixels.filters.ByteResizer
import ai.phoneproof.pixels.filters.FloatRaster
import ai.phoneproof.pixels.filters.FloatResizer
import ai.phoneproof.pixels.filters.TensorflowBilinear
import ai.phoneproof.pixels.filters.byteResizer

/**
 * Everything that depends on the size of the picture only: coefficients, scratch, and the rows of
 * the tensor that no pixel of the picture reaches. Made once a size.
 */
internal class FramePlan<A : Any>(
    input: ImageInput,
    private val writer: RowWriter<A>,
    val height: Int,
    val width: Int,
    val orientation: Orientation,
) {
    private val channels = input.channelCount
    private val reversed = input.channels == Channels.BGR
    private val swaps = orientation.swapsSides
    private val original = if (swaps) Size(width, height) else Size(height, width)

    val plan: GeometryPlan = GeometryPlan.of(input, original.height, original.width)

    private val asStored = ByteRaster(height, width, channels)
    private val upright = ByteRaster(original.height, original.width, channels)
    private val resizeAt = plan.steps.indexOfFirst { it is ResizeStep }
    private val before = Placement(original, plan.steps.take(maxOf(resizeAt, 0)))
    private val canvas = if (before.hasPads) before.canvas(channels, reversed) else null

    /** What the resize looks at, or what is placed where there is none. */
    private val source = canvas ?: ByteRaster(before.frame.height, before.frame.width, channels)
    private val bytes: ByteResizer?
    private val scaledBytes: ByteRaster
    private val floats: FloatResizer?
    private val scaledFloats: FloatRaster?
    private val after: Placement
    private val needed: BooleanArray

    /** For each row of the tensor the constant row it is, or -1. */
    private val constantOf: IntArray
    private val constants = ArrayList<A>()
    private val imageRow: A = writer.newRow()

    init {
        val step = plan.steps.getOrNull(resizeAt) as ResizeStep?
        val scaled = step?.let { Size(it.height, it.width) } ?: before.frame
        val isFloat = step != null && step.filter.isFloat
        bytes = step?.takeUnless { isFloat }?.let {
            byteResizer(it.filter, before.frame, scaled, channels)
        }
        floats = step?.takeIf { isFloat }?.let {
            val (fromHeight, fromWidth) = before.frame
            TensorflowBilinear(fromHeight, fromWidth, it.height, it.width, channels, it.filter)
        }
        scaledBytes =
            if (bytes != null) ByteRaster.filled(scaled.height, scaled.width, channels) else source
        scaledFloats = if (isFloat) FloatRaster(scaled.height, scaled.width, channels) else null
        after = Placement(scaled, plan.steps.drop(resizeAt + 1))
        needed = neededRows(bytes?.neededRows ?: floats?.neededRows)
        constantOf = paintConstants()
    }

    /** Which rows of the upright picture are looked at. */
    private fun neededRows(byResize: BooleanArray?): BooleanArray {
        val rows = BooleanArray(original.height)
        for (y in 0 until before.height) {
            val inFrame = before.top + y
            val isNeeded =
                byResize?.get(inFrame)
                    ?: (inFrame in after.sourceTop until after.sourceTop + after.height)
            if (isNeeded) rows[before.sourceTop + y] = true
        }
        return rows
    }

    private fun paintConstants(): IntArray {
        val known = HashMap<List<Byte>, Int>()
        val width = after.frame.width
        val hasImage = after.width > 0 && after.height > 0
        if (hasImage && after.hasPads) {
            val painted = after.paintedRow(after.top, channels, reversed)
            writer.lookUp(painted, 0, width, imageRow, 0)
        }
        return IntArray(after.frame.height) { y ->
            if (hasImage && y in after.top until after.top + after.height) {
                -1
            } else {
                val painted = after.paintedRow(y, channels, reversed)
                known.getOrPut(painted.asList()) {
                    val row = writer.newRow()
                    writer.lookUp(painted, 0, width, row, 0)
                    constants.add(row)
                    constants.size - 1
                }
            }
        }
    }

    /** Fills the tensor from a picture of this plan's size. */
    fun run(picture: Picture, intake: Intake) {
        intake.read(picture, orientation, needed, upright, asStored)
        place()
        bytes?.resize(source, scaledBytes)
        if (scaledFloats != null) floats!!.resize(source, scaledFloats)
        for (y in constantOf.indices) {
            val constant = constantOf[y]
            if (constant >= 0) {
                writer.store(constants[constant], y)
            } else {
                writeRow(after.sourceTop + y - after.top)
                writer.store(imageRow, y)
            }
        }
    }

    private fun writeRow(y: Int) {
        if (scaledFloats == null) {
            val from = scaledBytes.row(y) + after.sourceLeft * channels
            writer.lookUp(scaledBytes.values, from, after.width, imageRow, after.left)
        } else {
            val from = (y * scaledFloats.width + after.sourceLeft) * channels
            writer.compute(scaledFloats.values, from, after.width, imageRow, after.left)
        }
    }

    /** Crops move a window; pads need a canvas that the picture is copied into. */
    private fun place() {
        if (canvas == null) {
            source.values = upright.values
            source.offset = upright.row(before.sourceTop) + before.sourceLeft * channels
            source.stride = upright.stride
            return
        }
        for (y in 0 until before.height) {
            val from = upright.row(before.sourceTop + y) + before.sourceLeft * channels
            val to = canvas.row(before.top + y) + before.left * channels
            System.arraycopy(upright.values, from, canvas.values, to, before.width * channels)
        }
    }
}
