package ai.phoneproof.image

import ai.phoneproof.ImageError
import android.graphics.ImageFormat
import android.graphics.Rect
import android.media.Image
import java.nio.ByteBuffer
import org.junit.Assert.assertEquals
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

/** Camera frames as phones lay them out. */
@RunWith(RobolectricTestRunner::class)
class CameraFramesTest {
    @Test
    fun `planes with padded rows and interleaved chroma are taken as they lie`() {
        val frame = Frame(width = 6, height = 4, yStride = 16, chromaStride = 16, pixelStride = 2)
        val picture = cameraPicture(frame)
        assertEquals(4 to 6, picture.height to picture.width)
        assertEquals(
            listOf(16, 16, 2),
            listOf(picture.yRowStride, picture.chromaRowStride, picture.chromaPixelStride),
        )
        assertSame(frame.planes[0].buffer, picture.y)
    }

    @Test
    fun `a closed frame, another format and planes that are too short are refused`() {
        assertRefused("no camera frame", null)
        assertRefused("was closed", Frame(6, 4).apply { close() })
        assertRefused("another format", Frame(6, 4, kind = ImageFormat.RGB_565))
        assertRefused("do not fill", Frame(6, 4, yStride = 6, short = 1))
        assertRefused("differ", Frame(6, 4, otherV = 1))
    }

    private fun assertRefused(words: String, frame: Image?) {
        val error = assertThrows(words, ImageError::class.java) { cameraPicture(frame) }
        assertTrue(error.failed, words in error.failed)
    }

    private class Frame(
        private val width: Int,
        private val height: Int,
        yStride: Int = 8,
        chromaStride: Int = 8,
        pixelStride: Int = 1,
        private val kind: Int = ImageFormat.YUV_420_888,
        short: Int = 0,
        otherV: Int = 0,
    ) : Image() {
        private var isOpen = true
        private val all = arrayOf<Plane>(
            Part(yStride, 1, yStride * height - short),
            Part(chromaStride, pixelStride, chromaStride * height / 2),
            Part(chromaStride + otherV, pixelStride, (chromaStride + otherV) * height / 2),
        )

        override fun getFormat(): Int {
            check(isOpen) { "Image is already closed" }
            return kind
        }

        override fun getWidth() = width

        override fun getHeight() = height

        override fun getTimestamp() = 0L

        override fun getTransform() = 0

        override fun getScalingMode() = 0

        override fun getPlanes(): Array<Plane> = all

        override fun getCropRect() = Rect(0, 0, width, height)

        override fun close() {
            isOpen = false
        }

        private class Part(private val row: Int, private val pixel: Int, size: Int) : Plane() {
            private val bytes = ByteBuffer.allocateDirect(size)

            override fun getRowStride() = row

            override fun getPixelStride() = pixel

            override fun getBuffer(): ByteBuffer = bytes
        }
    }
}
