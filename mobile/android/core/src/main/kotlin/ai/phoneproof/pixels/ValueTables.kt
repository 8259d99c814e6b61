package ai.phoneproof.pixels

import ai.phoneproof.BindingError
import ai.phoneproof.contract.DType
import ai.phoneproof.contract.ImageInput
import ai.phoneproof.contract.InputBinding
import ai.phoneproof.contract.Quant

/** Pixel values have 256 levels. */
internal const val LEVELS: Int = 256

private const val FLOAT_BITS_OF_HALF_ULP = 0x0fff
private const val LARGEST_HALF_EXPONENT = 0x477ff000
private const val SMALLEST_NORMAL_HALF = 0x38800000

/**
 * What each pixel value becomes: `(p * scale - mean) / std` in float64, rounded once to float32;
 * channel by channel, in the contract's order. With `normaliseInFile` the value is p itself.
 */
internal fun realTables(input: ImageInput, binding: InputBinding): FloatArray =
    FloatArray(input.channelCount * LEVELS) { index ->
        val channel = index / LEVELS
        val pixel = (index % LEVELS).toDouble()
        if (binding.normaliseInFile) {
            pixel.toFloat()
        } else {
            ((pixel * input.scale - input.mean[channel]) / input.std[channel]).toFloat()
        }
    }

/** The same for float32 pixels: each operation in float32. */
internal class FloatValues(input: ImageInput, binding: InputBinding) {
    private val asIs = binding.normaliseInFile
    private val scale = input.scale.toFloat()
    private val mean = FloatArray(input.channelCount) { input.mean[it].toFloat() }
    private val std = FloatArray(input.channelCount) { input.std[it].toFloat() }

    fun of(pixel: Float, channel: Int): Float =
        if (asIs) pixel else (pixel * scale - mean[channel]) / std[channel]

    fun tables(): FloatArray =
        FloatArray(mean.size * LEVELS) { of((it % LEVELS).toFloat(), it / LEVELS) }
}

/** `clamp(roundeven(value / scale) + zero_point)`, the division in float64. */
internal class Quantizer(
    private val quant: Quant,
    private val lowest: Int,
    private val highest: Int,
) {
    fun of(value: Float): Int {
        val steps = Math.rint(value.toDouble() / quant.scale) + quant.zeroPoint
        return steps.coerceIn(lowest.toDouble(), highest.toDouble()).toInt()
    }

    companion object {
        fun of(binding: InputBinding): Quantizer {
            val quant = binding.quant ?: implied(binding)
            return when (binding.dtype) {
                DType.UINT8 -> Quantizer(quant, 0, 255)
                DType.INT8 -> Quantizer(quant, -128, 127)
                DType.INT16 -> Quantizer(quant, -32_768, 32_767)
                else -> throw unsupported(binding)
            }
        }

        private fun implied(binding: InputBinding): Quant {
            if (binding.normaliseInFile && binding.dtype == DType.UINT8) return Quant(1.0, 0)
            throw BindingError(
                "input \"${binding.tensor}\" is ${binding.dtype.name.lowercase()} and does not " +
                    "say what its numbers mean",
                "quant null",
                "give quant (scale, zero_point), or normalise_in_file with dtype uint8",
            )
        }
    }
}

internal fun unsupported(binding: InputBinding): BindingError = BindingError(
    "an image input of dtype ${binding.dtype.name.lowercase()} is not supported",
    "input \"${binding.tensor}\"",
    "supported are float32, float16, uint8, int8, int16",
)

/** The bits of a float32 as float16, halves to even. */
internal fun halfBits(value: Float): Short {
    val bits = value.toRawBits()
    val sign = (bits ushr 16) and 0x8000
    val magnitude = bits and 0x7fffffff
    val half = when {
        magnitude > 0x7f800000 -> 0x7e00 or ((magnitude ushr 13) and 0x1ff)
        magnitude >= LARGEST_HALF_EXPONENT -> 0x7c00
        magnitude >= SMALLEST_NORMAL_HALF -> normalHalf(magnitude)
        else -> Math.rint(Math.scalb(Float.fromBits(magnitude).toDouble(), 24)).toInt()
    }
    return (sign or half).toShort()
}

private fun normalHalf(magnitude: Int): Int {
    val even = (magnitude ushr 13) and 1
    val rounded = magnitude + FLOAT_BITS_OF_HALF_ULP + even
    return (rounded - SMALLEST_NORMAL_HALF + 0x00800000) ushr 13
}

/** A float16 as float32, exactly. */
internal fun halfToFloat(half: Short): Float {
    val bits = half.toInt() and 0xffff
    val sign = (bits and 0x8000) shl 16
    val exponent = (bits ushr 10) and 0x1f
    val fraction = bits and 0x3ff
    val magnitude = when (exponent) {
        0 -> (fraction / (1 shl 24).toFloat()).toRawBits()
        0x1f -> 0x7f800000 or (fraction shl 13)
        else -> ((exponent + 112) shl 23) or (fraction shl 13)
    }
    return Float.fromBits(sign or magnitude)
}
