package ai.phoneproof.pixels.filters

private const val HALF = 1 shl (PRECISION_BITS - 1)

/**
 * Pillow's two passes in whole numbers (`phoneproof/pixels/reference/pillow.py`): weights of 22
 * bits, rounded to 0..255 between the passes; a pass whose length does not change is left out.
 */
internal class PillowResizer(
    private val sourceHeight: Int,
    private val sourceWidth: Int,
    private val height: Int,
    private val width: Int,
    private val channels: Int,
    kernel: Kernel,
) : ByteResizer {
    private val along = if (width == sourceWidth) null else axisTaps(sourceWidth, width, kernel)
    private val down = if (height == sourceHeight) null else axisTaps(sourceHeight, height, kernel)
    private val columnsFirst = columnsFirst(sourceHeight, sourceWidth, height, width)

    /** Scaled rows by `source row % size`, and which source rows they are of. */
    private val ring = Array(down?.most ?: 1) { IntArray(width * channels) }
    private val ringRow = IntArray(ring.size)
    private val sums = IntArray(maxOf(width, sourceWidth) * channels)
    private val between = ByteArray(sourceWidth * channels)

    override val neededRows = allRows(sourceHeight)

    override fun resize(source: ByteRaster, target: ByteRaster) {
        ringRow.fill(-1)
        for (y in 0 until height) {
            val to = target.row(y)
            when {
                down == null -> alongRow(source.values, source.row(y), target.values, to)
                columnsFirst || along == null -> columnsThenRow(down, y, source, target.values, to)
                else -> rowsThenColumn(down, y, source, target.values, to)
            }
        }
    }

    private fun alongRow(values: ByteArray, from: Int, out: ByteArray, to: Int) {
        if (along == null) {
            System.arraycopy(values, from, out, to, width * channels)
            return
        }
        scaleRow(along, values, from, ring[0])
        val row = ring[0]
        for (i in row.indices) out[to + i] = row[i].toByte()
    }

    private fun columnsThenRow(taps: Taps, y: Int, source: ByteRaster, out: ByteArray, to: Int) {
        val length = sourceWidth * channels
        sums.fill(HALF, 0, length)
        for (k in 0 until taps.count[y]) {
            addBytes(source, taps.first[y] + k, taps.weights[y * taps.most + k], length)
        }
        if (along == null) {
            storeSums(out, to, length)
        } else {
            storeSums(between, 0, length)
            alongRow(between, 0, out, to)
        }
    }

    private fun addBytes(source: ByteRaster, row: Int, weight: Int, length: Int) {
        val values = source.values
        val from = source.row(row)
        for (i in 0 until length) sums[i] += (values[from + i].toInt() and 255) * weight
    }

    private fun rowsThenColumn(taps: Taps, y: Int, source: ByteRaster, out: ByteArray, to: Int) {
        val length = width * channels
        val first = taps.first[y]
        val weights = y * taps.most
        sums.fill(HALF, 0, length)
        var k = 0
        while (k + 1 < taps.count[y]) {
            val here = scaled(source, first + k)
            val next = scaled(source, first + k + 1)
            addTwo(here, taps.weights[weights + k], next, taps.weights[weights + k + 1])
            k += 2
        }
        if (k < taps.count[y]) addOne(scaled(source, first + k), taps.weights[weights + k])
        storeSums(out, to, length)
    }

    private fun scaled(source: ByteRaster, row: Int): IntArray {
        val slot = row % ring.size
        if (ringRow[slot] != row) {
            ringRow[slot] = row
            scaleRow(along!!, source.values, source.row(row), ring[slot])
        }
        return ring[slot]
    }

    private fun addTwo(a: IntArray, toA: Int, b: IntArray, toB: Int) {
        for (i in a.indices) sums[i] += a[i] * toA + b[i] * toB
    }

    private fun addOne(a: IntArray, toA: Int) {
        for (i in a.indices) sums[i] += a[i] * toA
    }

    private fun storeSums(out: ByteArray, to: Int, length: Int) {
        for (i in 0 until length) out[to + i] = clippedByte(sums[i] shr PRECISION_BITS)
    }

    /** One row, scaled and clipped to 0..255. */
    private fun scaleRow(taps: Taps, values: ByteArray, from: Int, out: IntArray) {
        if (channels == 3) {
            scaleThree(taps, values, from, out)
        } else {
            scaleOne(taps, values, from, out)
        }
    }

    private fun scaleThree(taps: Taps, values: ByteArray, from: Int, out: IntArray) {
        val weights = taps.weights
        var to = 0
        for (x in taps.first.indices) {
            var red = HALF
            var green = HALF
            var blue = HALF
            var at = from + taps.first[x] * 3
            val start = x * taps.most
            for (k in start until start + taps.count[x]) {
                val weight = weights[k]
                red += (values[at].toInt() and 255) * weight
                green += (values[at + 1].toInt() and 255) * weight
                blue += (values[at + 2].toInt() and 255) * weight
                at += 3
            }
            out[to] = clipped(red shr PRECISION_BITS)
            out[to + 1] = clipped(green shr PRECISION_BITS)
            out[to + 2] = clipped(blue shr PRECISION_BITS)
            to += 3
        }
    }

    private fun scaleOne(taps: Taps, values: ByteArray, from: Int, out: IntArray) {
        for (x in taps.first.indices) {
            var total = HALF
            val start = x * taps.most
            val at = from + taps.first[x]
            for (k in 0 until taps.count[x]) {
                total += (values[at + k].toInt() and 255) * taps.weights[start + k]
            }
            out[x] = clipped(total shr PRECISION_BITS)
        }
    }

    private fun clipped(value: Int): Int = if (value < 0) {
        0
    } else if (value > 255) {
        255
    } else {
        value
    }
}

/**
 * Whether Pillow 13 scales the columns before the rows: the height shrinks, and by more than twice
 * as many pixels as the width.
 */
private fun columnsFirst(sourceHeight: Int, sourceWidth: Int, height: Int, width: Int): Boolean {
    val lostRows = sourceHeight - height
    val lostColumns = sourceWidth - width
    return lostRows > 0 && lostRows > 2 * lostColumns
}
