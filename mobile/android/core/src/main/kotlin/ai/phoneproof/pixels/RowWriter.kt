package ai.phoneproof.pixels

import ai.phoneproof.contract.Channels
import ai.phoneproof.contract.DType
import ai.phoneproof.contract.ImageInput
import ai.phoneproof.contract.InputBinding
import ai.phoneproof.contract.Layout
import java.nio.Buffer
import java.nio.ByteBuffer

/**
 * The last stage: rows of pixels become rows of the tensor.
 *
 * A row of the tensor is an array [A] of its own type with width * channels values: channels side
 * by side (NHWC), or one channel after the other (NCHW). Rows are stored as blocks, because single
 * stores into a direct buffer are slow on Android.
 */
internal sealed class RowWriter<A : Any>(
    input: ImageInput,
    binding: InputBinding,
    private val typed: Buffer,
) {
    protected val floats: FloatValues = FloatValues(input, binding)
    protected val channels: Int = input.channelCount
    private val height = input.size.height
    protected val width: Int = input.size.width
    private val planar = binding.layout == Layout.NCHW

    /** From one pixel of a row to the next, and from one channel to the next. */
    protected val pixelStep: Int = if (planar) 1 else channels
    protected val channelStep: Int = if (planar) width else 1
    private val reversed = input.channels == Channels.BGR

    /** Rows of pixels and of the tensor lie alike, and every channel means the same. */
    protected val isUniform: Boolean =
        channels == 1 || (!planar && !reversed && hasOneScale(input, binding))

    /** Which channel of the pixels goes into channel [channel] of the tensor. */
    protected fun source(channel: Int): Int = if (reversed) channels - 1 - channel else channel

    abstract fun newRow(): A

    /** Looks [count] pixels up, beginning at [from], into [row] from its pixel [start] on. */
    abstract fun lookUp(pixels: ByteArray, from: Int, count: Int, row: A, start: Int)

    /** Computes [count] float32 pixels into [row] from its pixel [start] on. */
    abstract fun compute(pixels: FloatArray, from: Int, count: Int, row: A, start: Int)

    /**
     * Tells where each of [count] pixels lies: its channel of the tensor, its index in the pixels
     * and in the row. Inlined, so that the loops are over arrays of their own type; one loop where
     * channels need not be told apart.
     */
    protected inline fun eachPixel(
        from: Int,
        count: Int,
        start: Int,
        store: (channel: Int, at: Int, to: Int) -> Unit,
    ) {
        if (isUniform) {
            val first = start * channels
            for (i in 0 until count * channels) store(0, from + i, first + i)
            return
        }
        for (channel in 0 until channels) {
            var at = from + source(channel)
            var to = start * pixelStep + channel * channelStep
            repeat(count) {
                store(channel, at, to)
                at += channels
                to += pixelStep
            }
        }
    }

    protected abstract fun put(row: A, from: Int, length: Int)

    /** Stores one row of the tensor. */
    fun store(row: A, y: Int) {
        if (!planar) {
            typed.position(y * width * channels)
            put(row, 0, width * channels)
            return
        }
        for (channel in 0 until channels) {
            typed.position((channel * height + y) * width)
            put(row, channel * width, width)
        }
    }

    companion object {
        /**
         * The writer of a binding's dtype.
         *
         * @param bytes the tensor, in native order.
         * @param reals what each pixel value 0..255 becomes, channel by channel.
         */
        fun of(
            input: ImageInput,
            binding: InputBinding,
            bytes: ByteBuffer,
            reals: FloatArray,
        ): RowWriter<*> = when (binding.dtype) {
            DType.FLOAT32 -> FloatRows(input, binding, bytes.asFloatBuffer(), reals)
            DType.FLOAT16, DType.INT16 -> ShortRows(input, binding, bytes.asShortBuffer(), reals)
            DType.UINT8, DType.INT8 -> ByteRows(input, binding, bytes.duplicate(), reals)
            else -> throw unsupported(binding)
        }
    }
}

private fun hasOneScale(input: ImageInput, binding: InputBinding): Boolean =
    binding.normaliseInFile || (input.mean.distinct().size == 1 && input.std.distinct().size == 1)
