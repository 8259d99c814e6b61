package ai.phoneproof.pixels.filters

/**
 * OpenCV's linear for 8 bits: weights of 11 bits, rows first, then the columns with the
 * truncations of its vector code (`phoneproof/pixels/reference/opencv.py`).
 */
internal class OpenCvLinear(
    private val sourceHeight: Int,
    sourceWidth: Int,
    private val rowsAt: Samples,
    columnsAt: Samples,
    private val channels: Int,
) : ByteResizer {
    private val width = columnsAt.index.size
    private val left = IntArray(width)
    private val right = IntArray(width)
    private val towardLeft = IntArray(width)
    private val towardRight = IntArray(width)
    private val towardUpper = IntArray(rowsAt.index.size) { elevenBits(1f - rowsAt.fraction[it]) }
    private val towardLower = IntArray(rowsAt.index.size) { elevenBits(rowsAt.fraction[it]) }

    /** The two scaled rows of the last target row, and which source rows they are of. */
    private val cache = Array(2) { IntArray(width * channels) }
    private val cached = IntArray(2)

    init {
        val last = sourceWidth - 1
        for (x in 0 until width) {
            val index = columnsAt.index[x]
            val fraction = if (index < 0 || index >= last) 0f else columnsAt.fraction[x]
            val start = index.coerceIn(0, last)
            left[x] = start * channels
            right[x] = minOf(start + 1, last) * channels
            towardLeft[x] = elevenBits(1f - fraction)
            towardRight[x] = elevenBits(fraction)
        }
    }

    /**
     * What comes to the same with less work. Odd whole-number ratios put each centre on a source
     * pixel. Halves give weights of 1024, with which nothing is truncated before the last shift.
     */
    private val shortcut: ByteResizer? = when {
        towardRight.all { it == 0 } && towardLower.all { it == 0 } -> copies()

        sourceHeight == 2 * rowsAt.index.size && sourceWidth == 2 * width -> {
            Halves(sourceHeight, channels)
        }

        else -> null
    }

    override val neededRows = shortcut?.neededRows ?: BooleanArray(sourceHeight).also { needed ->
        for (y in rowsAt.index.indices) {
            if (towardUpper[y] != 0) needed[clipped(rowsAt.index[y])] = true
            if (towardLower[y] != 0) needed[clipped(rowsAt.index[y] + 1)] = true
        }
    }

    override fun resize(source: ByteRaster, target: ByteRaster) {
        if (shortcut != null) return shortcut.resize(source, target)
        cached.fill(-1)
        for (y in rowsAt.index.indices) {
            val upper = clipped(rowsAt.index[y])
            val lower = clipped(rowsAt.index[y] + 1)
            // A weight of 0 adds 0: the other row stands in.
            val first = if (towardUpper[y] != 0) upper else lower
            val second = if (towardLower[y] != 0) lower else upper
            val a = scaled(source, first, second)
            val b = scaled(source, second, first)
            blend(cache[a], towardUpper[y], cache[b], towardLower[y], target.values, target.row(y))
        }
    }

    private fun copies(): Nearest {
        val rows = IntArray(rowsAt.index.size) { clipped(rowsAt.index[it]) }
        return Nearest(sourceHeight, rows, IntArray(width) { left[it] / channels }, channels)
    }

    private fun clipped(row: Int): Int = row.coerceIn(0, sourceHeight - 1)

    /** The slot that holds a source row, scaled; the slot of [keep] is not taken for it. */
    private fun scaled(source: ByteRaster, row: Int, keep: Int): Int {
        if (cached[0] == row) return 0
        if (cached[1] == row) return 1
        val slot = if (cached[0] == keep) 1 else 0
        cached[slot] = row
        if (channels == 3) {
            scaleThree(source.values, source.row(row), cache[slot])
        } else {
            scaleOne(source.values, source.row(row), cache[slot])
        }
        return slot
    }

    private fun scaleThree(values: ByteArray, from: Int, out: IntArray) {
        var at = 0
        for (x in left.indices) {
            val l = from + left[x]
            val r = from + right[x]
            val toL = towardLeft[x]
            val toR = towardRight[x]
            val red = (values[l].toInt() and 255) * toL + (values[r].toInt() and 255) * toR
            val green =
                (values[l + 1].toInt() and 255) * toL + (values[r + 1].toInt() and 255) * toR
            val blue = (values[l + 2].toInt() and 255) * toL + (values[r + 2].toInt() and 255) * toR
            out[at] = red shr 4
            out[at + 1] = green shr 4
            out[at + 2] = blue shr 4
            at += 3
        }
    }

    private fun scaleOne(values: ByteArray, from: Int, out: IntArray) {
        for (x in left.indices) {
            val a = (values[from + left[x]].toInt() and 255) * towardLeft[x]
            val b = (values[from + right[x]].toInt() and 255) * towardRight[x]
            out[x] = (a + b) shr 4
        }
    }

    private fun blend(
        upper: IntArray,
        toUpper: Int,
        lower: IntArray,
        toLower: Int,
        out: ByteArray,
        to: Int,
    ) {
        for (i in upper.indices) {
            val total = ((upper[i] * toUpper) shr 16) + ((lower[i] * toLower) shr 16)
            out[to + i] = ((total + 2) shr 2).toByte()
        }
    }
}
