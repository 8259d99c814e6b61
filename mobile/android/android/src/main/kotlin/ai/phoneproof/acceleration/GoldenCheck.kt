package ai.phoneproof.acceleration

import ai.phoneproof.contract.DType
import ai.phoneproof.engine.TensorInfo
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.Locale
import kotlin.math.abs
import kotlin.math.log10

/**
 * What one output must be.
 *
 * @property name of the tensor.
 * @property every [values] are the elements 0, every, 2 * every, ... of the flattened tensor.
 */
public class GoldenOutput(
    public val name: String,
    public val every: Int,
    public val values: DoubleArray,
)

/**
 * One input tensor with the outputs that Python recorded for it.
 *
 * @property input direct, in native byte order.
 */
public class GoldenInput(public val input: ByteBuffer, public val outputs: List<GoldenOutput>)

/**
 * Tells whether an engine computes the model that was shipped.
 *
 * @property inputs at least one.
 * @property leastSnrDb least signal-to-noise ratio of any output, the signal taken about its mean.
 *   The default leaves 10 dB to GPUs, which compute in float16: a build demands 45 of its float16
 *   files. Swapped channels or another resize leave less than 25.
 */
public class GoldenCheck @JvmOverloads constructor(
    public val inputs: List<GoldenInput>,
    public val leastSnrDb: Double = 35.0,
) {
    init {
        require(inputs.isNotEmpty()) { "a check takes at least one golden input" }
    }

    /** Why [outputs] are wrong, in one line; null where they are right. */
    internal fun reasonAgainst(
        golden: GoldenInput,
        infos: List<TensorInfo>,
        outputs: List<ByteBuffer>,
    ): String? {
        for (expected in golden.outputs) {
            val index = infos.indexOfFirst { it.name == expected.name }
            if (index < 0) return "it has no output ${expected.name}"
            reason(expected, infos[index], outputs[index])?.let { return it }
        }
        return null
    }

    private fun reason(expected: GoldenOutput, info: TensorInfo, output: ByteBuffer): String? {
        val read = output.duplicate().order(ByteOrder.nativeOrder())
        val needed = (expected.values.size - 1).toLong() * expected.every + 1
        if (read.limit() != info.bytes || read.limit() / info.dtype.bytes < needed) {
            return "output ${info.name} has ${read.limit()} bytes"
        }
        // An integer may fall on either side of a rounding.
        val free = if (info.dtype == DType.FLOAT32 || info.dtype == DType.FLOAT16) 0.0 else 1.0
        var noise = 0.0
        for ((place, before) in expected.values.withIndex()) {
            val now = element(read, place * expected.every, info.dtype)
            if ((now.isNaN() && before.isNaN()) || now == before) continue
            if (!now.isFinite() || !before.isFinite()) return "output ${info.name} holds $now"
            val apart = abs(now - before)
            if (apart > free) noise += apart * apart
        }
        return reason(info.name, signal(expected.values), noise)
    }

    /** Power about the mean of the values that are numbers. */
    private fun signal(values: DoubleArray): Double {
        val finite = values.filter { it.isFinite() }
        val mean = finite.average()
        return finite.sumOf { (it - mean) * (it - mean) }
    }

    private fun reason(name: String, signal: Double, noise: Double): String? {
        if (noise == 0.0) return null
        val snr = if (signal > 0) 10 * log10(signal / noise) else Double.NEGATIVE_INFINITY
        if (snr >= leastSnrDb) return null
        return "output $name is %.1f dB from the golden values, %.1f are demanded"
            .format(Locale.ROOT, snr, leastSnrDb)
    }
}

/** One element of a tensor as a number. */
internal fun element(buffer: ByteBuffer, index: Int, dtype: DType): Double = when (dtype) {
    DType.FLOAT32 -> buffer.getFloat(4 * index).toDouble()
    DType.FLOAT16 -> halfToDouble(buffer.getShort(2 * index).toInt() and 0xffff)
    DType.INT8 -> buffer.get(index).toDouble()
    DType.UINT8, DType.BOOL -> (buffer.get(index).toInt() and 0xff).toDouble()
    DType.INT16 -> buffer.getShort(2 * index).toDouble()
    DType.INT32 -> buffer.getInt(4 * index).toDouble()
    DType.INT64 -> buffer.getLong(8 * index).toDouble()
}

/** IEEE 754 binary16 (android.util.Half needs API 26). */
private fun halfToDouble(bits: Int): Double {
    val sign = if (bits and 0x8000 != 0) -1.0 else 1.0
    val exponent = bits shr 10 and 0x1f
    val fraction = bits and 0x3ff
    return when (exponent) {
        0 -> sign * Math.scalb(fraction.toDouble(), -24)
        0x1f -> if (fraction == 0) sign * Double.POSITIVE_INFINITY else Double.NaN
        else -> sign * Math.scalb((fraction or 0x400).toDouble(), exponent - 25)
    }
}
