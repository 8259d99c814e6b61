package ai.phoneproof.pixels.filters

import ai.phoneproof.contract.Filter
import kotlin.math.ceil
import kotlin.math.floor

/**
 * TensorFlow's bilinear: float32 throughout, each operation rounded by itself, nothing rounded to
 * whole numbers (`phoneproof/pixels/reference/tensorflow.py`).
 */
internal class TensorflowBilinear(
    sourceHeight: Int,
    sourceWidth: Int,
    height: Int,
    width: Int,
    private val channels: Int,
    filter: Filter,
) : FloatResizer {
    private val rows = Between(sourceHeight, height, filter)
    private val columns = Between(sourceWidth, width, filter)
    private val cache = Array(2) { FloatArray(width * channels) }
    private val cached = IntArray(2)

    override val neededRows = BooleanArray(sourceHeight).also { needed ->
        for (row in rows.lower) needed[row] = true
        for (row in rows.upper) needed[row] = true
    }

    override fun resize(source: ByteRaster, target: FloatRaster) {
        cached.fill(-1)
        val length = target.width * channels
        for (y in 0 until target.height) {
            val top = cache[scaled(source, rows.lower[y], rows.upper[y])]
            val bottom = cache[scaled(source, rows.upper[y], rows.lower[y])]
            val fraction = rows.fraction[y]
            val to = y * length
            for (i in 0 until length) {
                target.values[to + i] = top[i] + (bottom[i] - top[i]) * fraction
            }
        }
    }

    private fun scaled(source: ByteRaster, row: Int, keep: Int): Int {
        if (cached[0] == row) return 0
        if (cached[1] == row) return 1
        val slot = if (cached[0] == keep) 1 else 0
        cached[slot] = row
        scaleRow(source.values, source.row(row), cache[slot])
        return slot
    }

    private fun scaleRow(values: ByteArray, from: Int, out: FloatArray) {
        var at = 0
        for (x in columns.lower.indices) {
            val l = from + columns.lower[x] * channels
            val r = from + columns.upper[x] * channels
            val fraction = columns.fraction[x]
            for (channel in 0 until channels) {
                val left = (values[l + channel].toInt() and 255).toFloat()
                val right = (values[r + channel].toInt() and 255).toFloat()
                out[at++] = left + (right - left) * fraction
            }
        }
    }
}

/** For each target index the two source indices it lies between, and how far towards the upper. */
private class Between(source: Int, target: Int, filter: Filter) {
    val lower = IntArray(target)
    val upper = IntArray(target)
    val fraction = FloatArray(target)

    init {
        for (x in 0 until target) {
            val position = position(x.toFloat(), source, target, filter)
            val below = floor(position)
            lower[x] = below.toInt().coerceIn(0, source - 1)
            upper[x] = ceil(position).toInt().coerceIn(0, source - 1)
            fraction[x] = position - below
        }
    }

    private fun position(index: Float, source: Int, target: Int, filter: Filter): Float {
        if (filter == Filter.TENSORFLOW_BILINEAR_ALIGN_CORNERS && target > 1) {
            return index * ((source - 1).toFloat() / (target - 1).toFloat())
        }
        val scale = source.toFloat() / target.toFloat()
        return if (filter == Filter.TENSORFLOW_BILINEAR_HALF_PIXEL) {
            (index + 0.5f) * scale - 0.5f
        } else {
            index * scale
        }
    }
}
