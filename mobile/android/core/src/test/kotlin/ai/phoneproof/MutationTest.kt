package ai.phoneproof

import ai.phoneproof.contract.Channels
import ai.phoneproof.contract.Filter
import ai.phoneproof.contract.ImageInput
import ai.phoneproof.contract.Pad
import ai.phoneproof.contract.Resize
import ai.phoneproof.contract.Rounding
import ai.phoneproof.contract.Size
import ai.phoneproof.pixels.Orientation
import ai.phoneproof.pixels.RgbPicture
import ai.phoneproof.vectors.VectorCase
import ai.phoneproof.vectors.VectorFile
import ai.phoneproof.vectors.child
import ai.phoneproof.vectors.noise
import ai.phoneproof.vectors.plainInput
import ai.phoneproof.vectors.plainPixels
import ai.phoneproof.vectors.sha256
import ai.phoneproof.vectors.tensorBytes
import ai.phoneproof.vectors.text
import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** The comparison by hash sees each of the mistakes that apps make. */
internal class MutationTest {
    private val case: VectorCase =
        VectorFile
            .cases(File(VectorFile.folder(), "tensor.json"))
            .first { it.id.startsWith("tensor-preset-ultralytics.detect") }

    private fun agrees(changed: (ImageInput) -> ImageInput): Boolean =
        sha256(tensorBytes(case, changed)) == case.json.child("expected").text("sha256")

    private fun ops(
        input: ImageInput,
        resize: (Resize) -> Resize = { it },
        pad: (Pad) -> Pad = { it },
    ): ImageInput = input.copy(
        geometry = input.geometry.map { op ->
            when (op) {
                is Resize -> resize(op)
                is Pad -> pad(op)
                else -> op
            }
        },
    )

    @Test
    fun `unchanged it agrees`() = assertTrue(agrees { it })

    @Test
    fun `blue and red exchanged`() = assertFalse(agrees { it.copy(channels = Channels.BGR) })

    @Test
    fun `divided by 256`() = assertFalse(agrees { it.copy(scale = 1.0 / 256) })

    @Test
    fun `scaled to -1 and 1`() {
        assertFalse(agrees { it.copy(mean = List(3) { 0.5 }, std = List(3) { 0.5 }) })
    }

    @Test
    fun `the filter of another library`() {
        for (filter in listOf(Filter.PILLOW_BILINEAR, Filter.OPENCV_AREA, Filter.OPENCV_NEAREST)) {
            assertFalse(
                filter.wire,
                agrees { ops(it, resize = { op -> op.copy(filter = filter) }) },
            )
        }
    }

    @Test
    fun `one pixel off in the letterbox`() {
        assertFalse(
            agrees { input ->
                ops(input, resize = { op -> op.copy(size = Size(63, 63)) })
            },
        )
        assertFalse(agrees { ops(it, pad = { op -> op.copy(value = listOf(114, 114, 115)) }) })
    }

    @Test
    fun `rounded the other way`() {
        val cases =
            VectorFile
                .cases(File(VectorFile.folder(), "tensor.json"))
                .filter { it.id.startsWith("tensor-preset-ultralytics.detect") }
        val seen = cases.count { case ->
            val bytes = tensorBytes(case) { input ->
                ops(input, resize = { it.copy(round = Rounding.CEIL) })
            }
            sha256(bytes) != case.json.child("expected").text("sha256")
        }
        assertTrue("of ${cases.size}", seen > 0)
    }

    @Test
    fun `a rotation that was forgotten`() {
        val rgb = RgbPicture(noise(1, 8 * 8 * 3), 8, 8)
        val input = plainInput(Size(8, 8))
        val upright = sha256(plainPixels(input, rgb))
        for (turn in Orientation.entries.drop(1)) {
            assertNotEquals(turn.name, upright, sha256(plainPixels(input, rgb, turn)))
        }
        assertEquals(upright, sha256(plainPixels(input, rgb, Orientation.UPRIGHT)))
    }
}
