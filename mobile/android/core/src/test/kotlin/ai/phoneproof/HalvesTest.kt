package ai.phoneproof

import ai.phoneproof.contract.Filter
import ai.phoneproof.contract.Size
import ai.phoneproof.pixels.filters.ByteRaster
import ai.phoneproof.pixels.filters.byteResizer
import ai.phoneproof.vectors.noise
import org.junit.Assert.assertArrayEquals
import org.junit.Test

/** Where both sides are halved OpenCV's linear is not computed with weights; it must not show. */
internal class HalvesTest {
    @Test
    fun `halves equal the arithmetic with weights`() {
        for ((height, width) in listOf(1 to 1, 1 to 9, 8 to 1, 5 to 7, 24 to 32)) {
            for (channels in listOf(1, 3)) {
                val pixels = noise(height + width, 4 * height * width * channels)
                val source = ByteRaster(2 * height, 2 * width, channels, pixels)
                val target = ByteRaster.filled(height, width, channels)
                val from = Size(2 * height, 2 * width)
                byteResizer(Filter.OPENCV_LINEAR, from, Size(height, width), channels)
                    .resize(source, target)
                val expected = ByteArray(target.values.size) { weighted(source, it) }
                assertArrayEquals("$height x $width x $channels", expected, target.values)
            }
        }
    }

    /** `phoneproof/pixels/reference/opencv.py`, both weights being half of 2^11. */
    private fun weighted(source: ByteRaster, index: Int): Byte {
        val row = source.width / 2 * source.channels
        val (y, x) = index / row to index % row / source.channels
        val channel = index % source.channels
        val scaled = List(2) { down ->
            val at = source.row(2 * y + down) + 2 * x * source.channels + channel
            val left = source.values[at].toInt() and 255
            val right = source.values[at + source.channels].toInt() and 255
            (left * 1024 + right * 1024) shr 4
        }
        val total = (scaled[0] * 1024 shr 16) + (scaled[1] * 1024 shr 16)
        return ((total + 2) shr 2).toByte()
    }
}
