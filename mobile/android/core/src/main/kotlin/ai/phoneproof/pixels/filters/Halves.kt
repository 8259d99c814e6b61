package ai.phoneproof.pixels.filters

/** Both sides halved: means of 2 x 2 pixels, halves up. */
internal class Halves(sourceHeight: Int, private val channels: Int) : ByteResizer {
    override val neededRows = allRows(sourceHeight)

    override fun resize(source: ByteRaster, target: ByteRaster) {
        for (y in 0 until target.height) {
            val upper = source.row(2 * y)
            val lower = source.row(2 * y + 1)
            if (channels == 3) {
                halveThree(source.values, upper, lower, target.values, target.row(y), target.width)
            } else {
                halveOne(source.values, upper, lower, target.values, target.row(y), target.width)
            }
        }
    }

    private fun halveThree(
        values: ByteArray,
        upper: Int,
        lower: Int,
        out: ByteArray,
        to: Int,
        width: Int,
    ) {
        for (x in 0 until width) {
            val a = upper + 6 * x
            val b = lower + 6 * x
            val at = to + 3 * x
            out[at] = mean(values, a, b, 3)
            out[at + 1] = mean(values, a + 1, b + 1, 3)
            out[at + 2] = mean(values, a + 2, b + 2, 3)
        }
    }

    private fun halveOne(
        values: ByteArray,
        upper: Int,
        lower: Int,
        out: ByteArray,
        to: Int,
        width: Int,
    ) {
        for (x in 0 until width) out[to + x] = mean(values, upper + 2 * x, lower + 2 * x, 1)
    }
}

/** Of the pixels at [upper] and [lower] and those [step] further on. */
private fun mean(values: ByteArray, upper: Int, lower: Int, step: Int): Byte {
    val above = (values[upper].toInt() and 255) + (values[upper + step].toInt() and 255)
    val below = (values[lower].toInt() and 255) + (values[lower + step].toInt() and 255)
    return ((above + below + 2) shr 2).toByte()
}
