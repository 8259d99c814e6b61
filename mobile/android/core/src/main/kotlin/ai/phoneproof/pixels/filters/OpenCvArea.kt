package ai.phoneproof.pixels.filters

import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.min

/** A source pixel that is covered by less than this is left out. */
private const val SMALLEST_SHARE = 1e-3
private const val EPSILON = 2.220446049250313e-16

/** OpenCV's area: blocks, sums, or linear with other positions where one axis grows. */
internal fun openCvArea(
    sourceHeight: Int,
    sourceWidth: Int,
    height: Int,
    width: Int,
    channels: Int,
): ByteResizer {
    val scaleY = openCvScale(sourceHeight, height)
    val scaleX = openCvScale(sourceWidth, width)
    if (min(scaleY, scaleX) < 1) {
        val rowsAt = areaSamples(sourceHeight, height)
        val columnsAt = areaSamples(sourceWidth, width)
        return OpenCvLinear(sourceHeight, sourceWidth, rowsAt, columnsAt, channels)
    }
    if (isWhole(scaleY) && isWhole(scaleX)) {
        val (high, wide) = sourceHeight / height to sourceWidth / width
        // 2 x 2 has code of its own in the library; the others multiply in float32.
        if (high == 2 && wide == 2) return Halves(sourceHeight, channels)
        return BlockMeans(sourceHeight, high, wide, channels)
    }
    val rows = axisShares(sourceHeight, height, scaleY)
    val columns = axisShares(sourceWidth, width, scaleX)
    return AreaSums(sourceHeight, rows, columns, channels)
}

private fun isWhole(scale: Double): Boolean = abs(scale - Math.rint(scale)) < EPSILON

/** Whole-number ratios: the mean of each block of [high] x [wide] pixels. */
private class BlockMeans(
    sourceHeight: Int,
    private val high: Int,
    private val wide: Int,
    private val channels: Int,
) : ByteResizer {
    private val share = 1f / (high * wide)

    override val neededRows = allRows(sourceHeight)

    override fun resize(source: ByteRaster, target: ByteRaster) {
        for (y in 0 until target.height) {
            val to = target.row(y)
            for (x in 0 until target.width) {
                for (channel in 0 until channels) {
                    val total = sum(source, y * high, x * wide, channel)
                    val mean = Math.rint((total.toFloat() * share).toDouble()).toInt()
                    target.values[to + x * channels + channel] = mean.toByte()
                }
            }
        }
    }

    private fun sum(source: ByteRaster, top: Int, left: Int, channel: Int): Int {
        var total = 0
        for (row in top until top + high) {
            var at = source.row(row) + left * channels + channel
            repeat(wide) {
                total += source.values[at].toInt() and 255
                at += channels
            }
        }
        return total
    }
}

/** For each target pixel the source pixels from [first] on, and their float32 weights. */
private class Shares(val first: IntArray, val weights: Array<FloatArray>)

private fun axisShares(source: Int, target: Int, scale: Double): Shares {
    val first = IntArray(target)
    val weights = Array(target) { x -> shares(x * scale, scale, source) { first[x] = it } }
    return Shares(first, weights)
}

/** The source pixels under `[begin, begin + scale)`. */
private fun shares(
    begin: Double,
    scale: Double,
    source: Int,
    tellFirst: (Int) -> Unit,
): FloatArray {
    val end = begin + scale
    val length = min(scale, source - begin)
    val last = min(floor(end).toInt(), source - 1)
    val first = min(ceil(begin).toInt(), last)
    val found = ArrayList<Float>()
    val early = first - begin > SMALLEST_SHARE
    if (early) found.add(((first - begin) / length).toFloat())
    repeat(last - first) { found.add((1.0 / length).toFloat()) }
    if (end - last > SMALLEST_SHARE) {
        found.add((min(min(end - last, 1.0), length) / length).toFloat())
    }
    tellFirst(if (early) first - 1 else first)
    return found.toFloatArray()
}

/** Other ratios: float32 sums over columns, then over rows, in ascending order. */
private class AreaSums(
    private val sourceHeight: Int,
    private val rows: Shares,
    private val columns: Shares,
    private val channels: Int,
) : ByteResizer {
    private val length = columns.first.size * channels
    private val scaledRow = FloatArray(length)
    private var scaledIndex = -1
    private val total = FloatArray(length)

    override val neededRows = allRows(sourceHeight)

    override fun resize(source: ByteRaster, target: ByteRaster) {
        scaledIndex = -1
        for (y in rows.first.indices) {
            total.fill(0f)
            val weights = rows.weights[y]
            for (k in weights.indices) {
                scale(source, rows.first[y] + k)
                add(weights[k])
            }
            val to = target.row(y)
            for (i in total.indices) target.values[to + i] = clippedByte(roundEven(total[i]))
        }
    }

    private fun add(weight: Float) {
        for (i in total.indices) total[i] += scaledRow[i] * weight
    }

    /** Neighbouring target rows share one source row at most: the last one is kept. */
    private fun scale(source: ByteRaster, row: Int) {
        if (row == scaledIndex) return
        scaledIndex = row
        val from = source.row(row)
        for (x in columns.first.indices) {
            val weights = columns.weights[x]
            for (channel in 0 until channels) {
                var at = from + columns.first[x] * channels + channel
                var sum = 0f
                for (weight in weights) {
                    sum += (source.values[at].toInt() and 255) * weight
                    at += channels
                }
                scaledRow[x * channels + channel] = sum
            }
        }
    }
}
