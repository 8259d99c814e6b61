package ai.phoneproof.pixels

import ai.phoneproof.BindingError
import ai.phoneproof.BusyError
import ai.phoneproof.contract.ImageInput
import ai.phoneproof.contract.InputBinding
import ai.phoneproof.contract.Layout
import ai.phoneproof.contract.PixelValues
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.concurrent.atomic.AtomicBoolean

/** Sizes whose tables are kept: portrait and landscape of a preview and of photos. */
private const val KEPT_SIZES = 4

/**
 * From a picture to the input tensor, equal to the Python reference in every byte.
 *
 * Tables and scratch are made with the first picture of a size; after that a frame allocates
 * nothing. One thread at a time.
 *
 * @param input the contract's image input.
 * @param binding the file's input tensor.
 * @throws BindingError the tensor's shape is not the contract's size, or its dtype has no meaning.
 */
public class PixelPipeline(private val input: ImageInput, private val binding: InputBinding) {
    /**
     * The tensor of one picture: direct, in native (little-endian) order, the binding's dtype and
     * layout. [fill] writes the same buffer every time; its position stays 0.
     */
    public val tensor: ByteBuffer =
        ByteBuffer.allocateDirect(elements() * binding.dtype.bytes).order(ByteOrder.nativeOrder())

    private val writer: RowWriter<*>
    private val intake = Intake(input)
    private val plans = ArrayList<FramePlan<*>>(KEPT_SIZES)
    private val busy = AtomicBoolean()

    init {
        val isFloat = input.values == PixelValues.FLOAT32 && input.geometry.any { it.isFloatResize }
        val reals =
            if (isFloat) FloatValues(input, binding).tables() else realTables(input, binding)
        writer = RowWriter.of(input, binding, tensor, reals)
    }

    /**
     * Writes the input tensor of [picture] into [tensor].
     *
     * @param orientation how the stored pixels must be turned to be upright; it is always applied,
     *   so pass UPRIGHT where the contract's `orientation` says ignore.
     * @return the geometry, which leads boxes back to the upright original.
     * @throws ai.phoneproof.ContractError the geometry does not fit this size.
     * @throws BusyError another thread is inside.
     */
    @JvmOverloads
    public fun fill(
        picture: Picture,
        orientation: Orientation = Orientation.UPRIGHT,
    ): GeometryPlan {
        if (!busy.compareAndSet(false, true)) {
            throw BusyError(
                "two threads use one pixel pipeline",
                nextStep = "give each thread its own, or call from one thread",
            )
        }
        try {
            val frame = prepared(picture, orientation)
            frame.run(picture, intake)
            return frame.plan
        } finally {
            busy.set(false)
        }
    }

    private fun prepared(picture: Picture, orientation: Orientation): FramePlan<*> {
        for (i in plans.indices) {
            val plan = plans[i]
            val sameSize = plan.height == picture.height && plan.width == picture.width
            if (sameSize && plan.orientation == orientation) return plan
        }
        val made = FramePlan(input, writer, picture.height, picture.width, orientation)
        if (plans.size == KEPT_SIZES) plans.removeAt(0)
        plans.add(made)
        return made
    }

    private fun elements(): Int {
        val (height, width) = input.size
        val count = input.channelCount
        val wanted = if (binding.layout == Layout.NCHW) {
            listOf(count, height, width)
        } else {
            listOf(height, width, count)
        }
        val given = binding.shape.drop(1)
        val same =
            given.size == 3 && given.indices.all { given[it] == -1 || given[it] == wanted[it] }
        if (!same) {
            throw BindingError(
                "input \"${binding.tensor}\" does not have the contract's size",
                "shape ${binding.shape} (${binding.layout}), contract $wanted",
                "use the contract and the binding of one bundle",
            )
        }
        val bytes = count.toLong() * height * width * binding.dtype.bytes
        if (bytes > Int.MAX_VALUE) {
            throw BindingError(
                "input \"${binding.tensor}\" is larger than a buffer can be",
                "$bytes bytes",
                "use a model that takes smaller pictures",
            )
        }
        return count * height * width
    }
}
