package ai.phoneproof.pixels

import ai.phoneproof.contract.DType
import ai.phoneproof.contract.ImageInput
import ai.phoneproof.contract.InputBinding
import java.nio.ByteBuffer
import java.nio.FloatBuffer
import java.nio.ShortBuffer

// The three writers differ in the type of their arrays alone; the JVM has no generic arithmetic.

internal class FloatRows(
    input: ImageInput,
    binding: InputBinding,
    private val tensor: FloatBuffer,
    private val tables: FloatArray,
) : RowWriter<FloatArray>(input, binding, tensor) {
    override fun newRow() = FloatArray(width * channels)

    override fun lookUp(pixels: ByteArray, from: Int, count: Int, row: FloatArray, start: Int) {
        eachPixel(from, count, start) { channel, at, to ->
            row[to] = tables[channel * LEVELS + (pixels[at].toInt() and 255)]
        }
    }

    override fun compute(pixels: FloatArray, from: Int, count: Int, row: FloatArray, start: Int) {
        eachPixel(from, count, start) { channel, at, to ->
            row[to] = floats.of(pixels[at], channel)
        }
    }

    override fun put(row: FloatArray, from: Int, length: Int) {
        tensor.put(row, from, length)
    }
}

internal class ByteRows(
    input: ImageInput,
    binding: InputBinding,
    private val tensor: ByteBuffer,
    reals: FloatArray,
) : RowWriter<ByteArray>(input, binding, tensor) {
    private val quantizer = Quantizer.of(binding)
    private val tables = ByteArray(reals.size) { quantizer.of(reals[it]).toByte() }

    override fun newRow() = ByteArray(width * channels)

    override fun lookUp(pixels: ByteArray, from: Int, count: Int, row: ByteArray, start: Int) {
        eachPixel(from, count, start) { channel, at, to ->
            row[to] = tables[channel * LEVELS + (pixels[at].toInt() and 255)]
        }
    }

    override fun compute(pixels: FloatArray, from: Int, count: Int, row: ByteArray, start: Int) {
        eachPixel(from, count, start) { channel, at, to ->
            row[to] = quantizer.of(floats.of(pixels[at], channel)).toByte()
        }
    }

    override fun put(row: ByteArray, from: Int, length: Int) {
        tensor.put(row, from, length)
    }
}

/** float16 (as its bits) and int16. */
internal class ShortRows(
    input: ImageInput,
    binding: InputBinding,
    private val tensor: ShortBuffer,
    reals: FloatArray,
) : RowWriter<ShortArray>(input, binding, tensor) {
    private val quantizer = if (binding.dtype == DType.FLOAT16) null else Quantizer.of(binding)
    private val tables = ShortArray(reals.size) { stored(reals[it]) }

    override fun newRow() = ShortArray(width * channels)

    override fun lookUp(pixels: ByteArray, from: Int, count: Int, row: ShortArray, start: Int) {
        eachPixel(from, count, start) { channel, at, to ->
            row[to] = tables[channel * LEVELS + (pixels[at].toInt() and 255)]
        }
    }

    override fun compute(pixels: FloatArray, from: Int, count: Int, row: ShortArray, start: Int) {
        eachPixel(from, count, start) { channel, at, to ->
            row[to] = stored(floats.of(pixels[at], channel))
        }
    }

    override fun put(row: ShortArray, from: Int, length: Int) {
        tensor.put(row, from, length)
    }

    private fun stored(real: Float): Short = quantizer?.of(real)?.toShort() ?: halfBits(real)
}
