package ai.phoneproof.app

import android.graphics.Bitmap
import android.graphics.Color
import android.graphics.ImageFormat
import android.graphics.Matrix
import android.graphics.Rect
import android.media.Image
import java.nio.ByteBuffer

/**
 * A camera frame that shows [upright] as a phone's sensor sees it: turned by [degrees] clockwise it
 * is upright. BT.601, full range.
 */
class SensorFrame(upright: Bitmap, degrees: Int) : Image() {
    private val stored = turned(upright, -degrees)
    private val luma = Part(stored.width * stored.height, stored.width)
    private val blue = Part(chromaWidth() * chromaHeight(), chromaWidth())
    private val red = Part(chromaWidth() * chromaHeight(), chromaWidth())

    var isClosed = false
        private set

    init {
        for (y in 0 until height) {
            for (x in 0 until width) {
                val rgb = stored.getPixel(x, y)
                val (r, g, b) = listOf(Color.red(rgb), Color.green(rgb), Color.blue(rgb))
                luma[y, x] = 0.299 * r + 0.587 * g + 0.114 * b
                blue[y / 2, x / 2] = 128 - 0.168736 * r - 0.331264 * g + 0.5 * b
                red[y / 2, x / 2] = 128 + 0.5 * r - 0.418688 * g - 0.081312 * b
            }
        }
    }

    private fun chromaWidth() = (stored.width + 1) / 2

    private fun chromaHeight() = (stored.height + 1) / 2

    override fun getFormat() = ImageFormat.YUV_420_888

    override fun getWidth() = stored.width

    override fun getHeight() = stored.height

    override fun getTimestamp() = 0L

    override fun getTransform() = 0

    override fun getScalingMode() = 0

    override fun getPlanes() = arrayOf<Plane>(luma, blue, red)

    override fun getCropRect() = Rect(0, 0, width, height)

    override fun close() {
        isClosed = true
    }

    private class Part(size: Int, private val row: Int) : Plane() {
        private val bytes = ByteBuffer.allocateDirect(size)

        operator fun set(y: Int, x: Int, value: Double) {
            bytes.put(y * row + x, Math.round(value).toInt().coerceIn(0, 255).toByte())
        }

        override fun getRowStride() = row

        override fun getPixelStride() = 1

        override fun getBuffer(): ByteBuffer = bytes
    }

    private companion object {
        fun turned(bitmap: Bitmap, degrees: Int): Bitmap {
            val matrix = Matrix().apply { setRotate(degrees.toFloat()) }
            return Bitmap.createBitmap(bitmap, 0, 0, bitmap.width, bitmap.height, matrix, false)
        }
    }
}
