package ai.phoneproof.image

import ai.phoneproof.ImageError
import ai.phoneproof.contract.ColorProfile
import android.graphics.Bitmap
import android.graphics.ColorSpace
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

/** Real bitmaps, usable and not. */
@RunWith(RobolectricTestRunner::class)
class BitmapReaderTest {
    private val stored = BitmapReader(ColorProfile.AS_STORED)
    private val pixels = intArrayOf(
        0xffff0000.toInt(),
        0xff00ff00.toInt(),
        0xff102030.toInt(),
        -1,
        0xff000000.toInt(),
        0xff808080.toInt(),
    )

    @Test
    fun `pixels come out as they are, and the array is used again`() {
        val picture = stored.read(Bitmap.createBitmap(pixels, 3, 2, Bitmap.Config.ARGB_8888))
        assertEquals(2 to 3, picture.height to picture.width)
        assertArrayEquals(pixels, picture.values.copyOf(6))
        assertSame(picture, stored.read(Bitmap.createBitmap(3, 2, Bitmap.Config.ARGB_8888)))
    }

    @Test
    fun `another colour space is converted only where the contract says so`() {
        val p3 = ColorSpace.get(ColorSpace.Named.DISPLAY_P3)
        val bitmap = Bitmap.createBitmap(1, 1, Bitmap.Config.ARGB_8888, true, p3)
        bitmap.setPixel(0, 0, 0xffc06040.toInt())
        val converted = BitmapReader(ColorProfile.SRGB).read(bitmap).values[0]
        val kept = stored.read(bitmap).values[0]
        assertEquals(0xffc06040.toInt(), converted)
        assertNotEquals(converted, kept)
        assertEquals(p3, bitmap.colorSpace)
    }

    @Test
    fun `what cannot be read is named, with what to do`() {
        val recycled = Bitmap.createBitmap(2, 2, Bitmap.Config.ARGB_8888).apply { recycle() }
        val narrow = Bitmap.createBitmap(2, 2, Bitmap.Config.RGB_565)
        val masks = Bitmap.createBitmap(2, 2, Bitmap.Config.ALPHA_8)
        val floats = Bitmap.createBitmap(2, 2, Bitmap.Config.RGBA_F16)
        val expected = listOf(
            null to "no bitmap",
            recycled to "recycled",
            narrow to "8 bits",
            masks to "8 bits",
            floats to "8 bits",
        )
        for ((bitmap, words) in expected) {
            val error = assertThrows(ImageError::class.java) { stored.read(bitmap) }
            assertTrue(error.failed, words in error.failed)
            assertTrue(error.nextStep.orEmpty().isNotEmpty())
        }
    }

    @Test
    fun `a bitmap in graphics memory is refused`() {
        // This machine has no graphics memory to make one in.
        val error = assertThrows(ImageError::class.java) { requireConfig(Bitmap.Config.HARDWARE) }
        assertEquals("Bitmap.Config.HARDWARE", error.found)
    }
}
