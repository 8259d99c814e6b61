package ai.phoneproof.decode

import ai.phoneproof.OutputError
import ai.phoneproof.contract.DType
import ai.phoneproof.contract.OutputBinding
import ai.phoneproof.pixels.halfToFloat
import java.nio.Buffer
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer

/**
 * One output tensor as float32: `(q - zero_point) * scale`, or a cast where there is no quant. The
 * array is reused.
 */
internal class TensorFloats(private val output: OutputBinding) {
    val name: String get() = output.tensor

    /** Without the batch axis. */
    val shape: List<Int> get() = output.shape.drop(1)

    /** Elements of one image. */
    val size: Int = output.shape.drop(1).fold(1) { product, side -> product * maxOf(side, 0) }

    val values = FloatArray(size)
    private val scale = output.quant?.scale?.toFloat() ?: 1f
    private val zeroPoint = output.quant?.zeroPoint?.toFloat() ?: 0f
    private val isPlain = output.quant == null
    private var lastBytes: ByteBuffer? = null
    private var lastFloats: FloatBuffer? = null

    /** What each byte means; 0..255 whichever sign the dtype has. */
    private val signed = FloatArray(256) { real(it.toByte().toFloat()) }
    private val unsigned = FloatArray(256) { real(it.toFloat()) }

    private fun real(value: Float): Float = if (isPlain) value else (value - zeroPoint) * scale

    /** Reads image [index] of the batch. */
    fun read(outputs: List<OutputTensor>, index: Int) {
        val tensor = find(outputs)
        if (!hasShape(tensor)) {
            throw OutputError(
                "output tensor \"$name\" has another shape than its binding",
                "${tensor.shape} instead of ${output.shape}",
                "use the binding that was written for this file",
            )
        }
        val batch = output.shape.firstOrNull() ?: 0
        val needed = batch.toLong() * size * tensor.dtype.bytes
        if (index !in 0 until batch || tensor.bytes.limit() < needed) {
            throw OutputError(
                "output tensor \"$name\" does not hold image $index",
                "${tensor.bytes.limit()} bytes for shape ${tensor.shape}",
                "pass the whole tensor, and an index below the batch",
            )
        }
        copy(tensor, index * size)
    }

    /** By index: comparing lists makes two iterators. */
    private fun hasShape(tensor: OutputTensor): Boolean {
        if (tensor.shape.size != output.shape.size) return false
        for (i in output.shape.indices) if (tensor.shape[i] != output.shape[i]) return false
        return true
    }

    private fun find(outputs: List<OutputTensor>): OutputTensor {
        for (i in outputs.indices) if (outputs[i].name == name) return outputs[i]
        throw OutputError(
            "output tensor \"$name\" is missing",
            outputs.joinToString { it.name }.ifEmpty { "no tensors" },
            "use the binding that was written for this file",
        )
    }

    private fun copy(tensor: OutputTensor, first: Int) {
        val bytes = tensor.bytes
        when (tensor.dtype) {
            DType.FLOAT32 -> copyFloats(bytes, first)
            DType.INT8 -> fill { signed[bytes.get(first + it).toInt() and 255] }
            DType.UINT8, DType.BOOL -> fill { unsigned[bytes.get(first + it).toInt() and 255] }
            DType.INT16 -> fill { real(bytes.getShort((first + it) * 2).toFloat()) }
            DType.FLOAT16 -> fill { real(halfToFloat(bytes.getShort((first + it) * 2))) }
            DType.INT32 -> fill { real(bytes.getInt((first + it) * 4).toFloat()) }
            DType.INT64 -> fill { real(bytes.getLong((first + it) * 8).toFloat()) }
        }
    }

    private inline fun fill(value: (Int) -> Float) {
        for (i in 0 until size) values[i] = value(i)
    }

    private fun copyFloats(bytes: ByteBuffer, first: Int) {
        val floats = floatsOf(bytes)
        (floats as Buffer).position(first)
        floats.get(values)
        if (!isPlain) fill { real(values[it]) }
    }

    /** The view is kept with its buffer: engines give the same one frame after frame. */
    private fun floatsOf(bytes: ByteBuffer): FloatBuffer {
        val known = lastFloats
        if (known != null && lastBytes === bytes) return known
        val whole = bytes.duplicate().order(ByteOrder.nativeOrder())
        (whole as Buffer).position(0)
        return whole.asFloatBuffer().also {
            lastBytes = bytes
            lastFloats = it
        }
    }
}
