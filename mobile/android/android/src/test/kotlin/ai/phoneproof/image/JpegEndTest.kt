package ai.phoneproof.image

import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test

/** Files that end early, which Android decodes without a word. */
class JpegEndTest {
    private val thumbnail = bytes(0xff, 0xd8, 0xff, 0xd9)
    private val exif = bytes(0xff, 0xe1, 0x00, 0x06) + thumbnail
    private val scan = bytes(0xff, 0xda, 0x00, 0x03, 0x01, 0x55, 0xff, 0x00, 0x12, 0xff, 0xd3, 0x44)
    private val whole = bytes(0xff, 0xd8) + exif + scan + bytes(0xff, 0xd9)

    @Test
    fun `a whole file ends, whatever follows it`() {
        assertFalse(endsEarly(whole))
        assertFalse(endsEarly(whole + ByteArray(500) { 0xff.toByte() }))
    }

    @Test
    fun `every cut is seen, though the thumbnail inside has an end of its own`() {
        for (length in 4 until whole.size) assertTrue("$length", endsEarly(whole.copyOf(length)))
    }

    @Test
    fun `two scans of a progressive file are walked`() {
        val two = bytes(0xff, 0xd8) + scan + scan + bytes(0xff, 0xd9)
        assertFalse(endsEarly(two))
        assertTrue(endsEarly(two.copyOf(two.size - 2)))
    }

    @Test
    fun `other files are the decoder's matter`() {
        assertFalse(endsEarly(ByteArray(0)))
        assertFalse(endsEarly(bytes(0x89, 0x50, 0x4e, 0x47)))
        assertFalse(endsEarly("no picture at all".toByteArray()))
    }

    private fun bytes(vararg values: Int) = ByteArray(values.size) { values[it].toByte() }
}
