package ai.phoneproof.image

import ai.phoneproof.ImageError
import ai.phoneproof.contract.OrientationRule
import ai.phoneproof.pixels.Orientation
import android.content.Context
import android.graphics.Bitmap
import android.net.Uri
import java.io.ByteArrayOutputStream
import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment

/** Picture files, whole and not. */
@RunWith(RobolectricTestRunner::class)
class PictureDecoderTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val files = PictureDecoder(OrientationRule.EXIF)
    private val context: Context get() = RuntimeEnvironment.getApplication()

    @Test
    fun `transparent pixels keep their colour`() {
        val bitmap = Bitmap.createBitmap(2, 1, Bitmap.Config.ARGB_8888).apply {
            isPremultiplied = false
        }
        bitmap.setPixels(intArrayOf(0x01fe8040, 0x80ff0102.toInt()), 0, 2, 0, 0, 2, 1)
        files.decode(encoded(bitmap, Bitmap.CompressFormat.PNG)).use {
            assertEquals(0x80ff0102.toInt(), it.bitmap.getPixel(1, 0))
        }
    }

    @Test
    fun `the orientation tag is read where it counts`() {
        val jpeg = turned(
            encoded(Bitmap.createBitmap(8, 4, Bitmap.Config.ARGB_8888), Bitmap.CompressFormat.JPEG),
            6,
        )
        assertEquals(Orientation.ROTATE_90, files.decode(jpeg).use { it.orientation })
        val ignoring = PictureDecoder(OrientationRule.IGNORE)
        assertEquals(Orientation.UPRIGHT, ignoring.decode(jpeg).use { it.orientation })
        val file = File(folder.root, "photo.jpg").apply { writeBytes(jpeg) }
        assertEquals(Orientation.ROTATE_90, files.decode(file).use { it.orientation })
        assertEquals(8, files.decode(context, Uri.fromFile(file)).use { it.bitmap.width })
    }

    @Test
    fun `a bitmap that was made is recycled`() {
        val png =
            encoded(Bitmap.createBitmap(2, 2, Bitmap.Config.ARGB_8888), Bitmap.CompressFormat.PNG)
        val decoded = files.decode(png)
        decoded.close()
        assertTrue(decoded.bitmap.isRecycled)
    }

    @Test
    fun `what is no whole picture is refused`() {
        val jpeg = encoded(
            Bitmap.createBitmap(64, 64, Bitmap.Config.ARGB_8888),
            Bitmap.CompressFormat.JPEG,
        )
        val expected = listOf(
            ByteArray(0) to "cannot be decoded",
            "not a picture".toByteArray() to "cannot be decoded",
            "version https://git-lfs.github.com/spec/v1".toByteArray() to "cannot be decoded",
            jpeg.copyOf(jpeg.size - 20) to "ends early",
            hugePng() to "too large",
        )
        for ((bytes, words) in expected) {
            val error = assertThrows(words, ImageError::class.java) { files.decode(bytes) }
            assertTrue(error.failed, words in error.failed)
        }
        val missing = File(folder.root, "none.jpg")
        assertThrows(ImageError::class.java) { files.decode(missing) }
        assertThrows(ImageError::class.java) { files.decode(context, Uri.fromFile(missing)) }
    }

    private fun encoded(bitmap: Bitmap, format: Bitmap.CompressFormat): ByteArray =
        ByteArrayOutputStream().also { bitmap.compress(format, 90, it) }.toByteArray()

    /** With an EXIF segment behind the start marker that says [orientation]. */
    private fun turned(jpeg: ByteArray, orientation: Int): ByteArray {
        val tiff = "4d4d002a000000080001011200030000000100%02x000000000000".format(orientation)
        val body = "Exif".toByteArray() + byteArrayOf(0, 0) + hex(tiff)
        val length = body.size + 2
        val head = byteArrayOf(-1, 0xe1.toByte(), (length shr 8).toByte(), length.toByte())
        return jpeg.copyOfRange(0, 2) + head + body + jpeg.copyOfRange(2, jpeg.size)
    }

    /** A PNG header that claims 60000 x 60000 pixels. */
    private fun hugePng(): ByteArray {
        val header =
            "89504e470d0a1a0a" + "0000000d49484452" + "0000ea60" + "0000ea60" + "0802000000"
        val chunk = hex("494844520000ea600000ea600802000000")
        val crc = java.util.zip.CRC32().apply { update(chunk) }.value
        return hex(header + "%08x".format(crc) + "0000000049444154" + "35af061e")
    }

    private fun hex(text: String) = text.chunked(2).map { it.toInt(16).toByte() }.toByteArray()
}
