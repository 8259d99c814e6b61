package ai.phoneproof.pixels.filters

private const val TAPS = 4
private const val VECTOR_LENGTH = 8
private const val A = -0.75f

/**
 * OpenCV's cubic (a = -.75) for 8 bits: rows in whole numbers with weights of 11 bits; columns in
 * float32 for the first `width * channels / 8 * 8` values of a row, in whole numbers for the rest.
 */
internal class OpenCvCubic(
    private val sourceHeight: Int,
    sourceWidth: Int,
    private val rowsAt: Samples,
    columnsAt: Samples,
    private val channels: Int,
) : ByteResizer {
    private val width = columnsAt.index.size
    private val length = width * channels
    private val vectors = length / VECTOR_LENGTH * VECTOR_LENGTH
    private val columns = IntArray(width * TAPS)
    private val columnWeights = weights(columnsAt)
    private val rowWeights = weights(rowsAt)
    private val cache = Array(TAPS) { IntArray(length) }
    private val cached = IntArray(TAPS)
    private val slots = IntArray(TAPS)

    init {
        for (x in 0 until width) {
            for (tap in 0 until TAPS) {
                val column = columnsAt.index[x] + tap - 1
                columns[x * TAPS + tap] = column.coerceIn(0, sourceWidth - 1) * channels
            }
        }
    }

    override val neededRows = BooleanArray(sourceHeight).also { needed ->
        for (index in rowsAt.index) {
            for (tap in 0 until TAPS) needed[clipped(index + tap - 1)] = true
        }
    }

    override fun resize(source: ByteRaster, target: ByteRaster) {
        cached.fill(-1)
        for (y in rowsAt.index.indices) {
            for (tap in 0 until TAPS) {
                slots[tap] = scaled(source, clipped(rowsAt.index[y] + tap - 1))
            }
            blend(y, target.values, target.row(y))
        }
    }

    private fun clipped(row: Int): Int = row.coerceIn(0, sourceHeight - 1)

    /** Four neighbouring rows have four different slots. */
    private fun scaled(source: ByteRaster, row: Int): Int {
        val slot = row % TAPS
        if (cached[slot] != row) {
            cached[slot] = row
            scaleRow(source.values, source.row(row), cache[slot])
        }
        return slot
    }

    private fun scaleRow(values: ByteArray, from: Int, out: IntArray) {
        for (x in 0 until width) {
            for (channel in 0 until channels) {
                var total = 0
                for (tap in x * TAPS until x * TAPS + TAPS) {
                    val value = values[from + columns[tap] + channel].toInt() and 255
                    total += value * columnWeights[tap]
                }
                out[x * channels + channel] = total
            }
        }
    }

    private fun blend(y: Int, out: ByteArray, to: Int) {
        val r0 = cache[slots[0]]
        val r1 = cache[slots[1]]
        val r2 = cache[slots[2]]
        val r3 = cache[slots[3]]
        val unit = 1f / (1 shl (2 * WEIGHT_BITS))
        val w0 = rowWeights[y * TAPS]
        val w1 = rowWeights[y * TAPS + 1]
        val w2 = rowWeights[y * TAPS + 2]
        val w3 = rowWeights[y * TAPS + 3]
        for (i in 0 until vectors) {
            val last = r2[i] * (w2 * unit) + r3[i] * (w3 * unit)
            val total = r0[i] * (w0 * unit) + (r1[i] * (w1 * unit) + last)
            out[to + i] = clippedByte(roundEven(total))
        }
        for (i in vectors until length) {
            val total = r0[i] * w0 + r1[i] * w1 + r2[i] * w2 + r3[i] * w3
            val half = 1 shl (2 * WEIGHT_BITS - 1)
            out[to + i] = clippedByte((total + half) shr (2 * WEIGHT_BITS))
        }
    }

    private fun weights(samples: Samples): IntArray {
        val found = IntArray(samples.index.size * TAPS)
        for (x in samples.index.indices) {
            cubicWeights(samples.fraction[x]).forEachIndexed { tap, weight ->
                found[x * TAPS + tap] = elevenBits(weight)
            }
        }
        return found
    }
}

/** Keys' cubic in float32, in the library's order of operations. */
private fun cubicWeights(fraction: Float): FloatArray {
    val before = fraction + 1f
    val w0 = ((A * before - 5f * A) * before + 8f * A) * before - 4f * A
    val w1 = ((A + 2f) * fraction - (A + 3f)) * fraction * fraction + 1f
    val rest = 1f - fraction
    val w2 = ((A + 2f) * rest - (A + 3f)) * rest * rest + 1f
    return floatArrayOf(w0, w1, w2, 1f - w0 - w1 - w2)
}

/** 0..255 as a byte. */
internal fun clippedByte(value: Int): Byte = (
    if (value < 0) {
        0
    } else if (value > 255) {
        255
    } else {
        value
    }
    ).toByte()
