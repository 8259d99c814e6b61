package ai.phoneproof.acceleration

import ai.phoneproof.contract.DType
import ai.phoneproof.engine.TensorInfo
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Test

/** What counts as the same model. */
class GoldenCheckTest {
    private val wave = DoubleArray(100) { Math.sin(it / 7.0) }
    private val info = TensorInfo("out", DType.FLOAT32, listOf(1, 200))

    @Test
    fun `noise of a half float GPU passes, an output of other pixels does not`() {
        assertNull(judge { value, _ -> (value * (1 + 1e-3)).toFloat() })
        assertNotNull(
            judge { value, place ->
                (
                    value +
                        if (place % 5 == 0) {
                            0.2
                        } else {
                            0.0
                        }
                    ).toFloat()
            },
        )
        assertNotNull(judge { _, _ -> 0f })
    }

    @Test
    fun `a constant beside the signal hides nothing`() {
        val offset = DoubleArray(100) { 1000 + wave[it] }
        assertNotNull(
            judge(offset) { value, place ->
                (
                    value +
                        if (place % 5 == 0) {
                            0.5
                        } else {
                            0.0
                        }
                    ).toFloat()
            },
        )
    }

    @Test
    fun `what is not finite must be as it was`() {
        val holed = wave.copyOf().also { it[3] = Double.NaN }
        assertNull(judge(holed) { value, _ -> value.toFloat() })
        assertNotNull(judge(holed) { value, place -> if (place == 3) 0f else value.toFloat() })
        assertNotNull(
            judge { value, place ->
                if (place == 3) Float.POSITIVE_INFINITY else value.toFloat()
            },
        )
    }

    @Test
    fun `integers may be one step off`() {
        val output = directBuffer(4)
        byteArrayOf(10, -20, 31, 40).forEachIndexed { at, value -> output.put(at, value) }
        val bytes = TensorInfo("out", DType.INT8, listOf(1, 4))
        assertNull(reason(doubleArrayOf(10.0, -19.0, 30.0, 40.0), 1, bytes, output))
        assertNotNull(reason(doubleArrayOf(10.0, -16.0, 34.0, 40.0), 1, bytes, output))
    }

    @Test
    fun `a missing output and one of another size are wrong`() {
        val output = directBuffer(800)
        assertEquals("it has no output out", reason(wave, 2, info.copy(name = "other"), output))
        assertEquals("output out has 800 bytes", reason(wave, 3, info, output))
    }

    @Test
    fun `half floats are read`() {
        val halves = directBuffer(12)
        val bits = listOf(0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x7e00)
        bits.forEachIndexed { at, value -> halves.putShort(2 * at, value.toShort()) }
        val read = bits.indices.map { element(halves, it, DType.FLOAT16) }
        val expected =
            listOf(1.0, -2.0, Math.pow(2.0, -24.0), 65504.0, Double.POSITIVE_INFINITY, Double.NaN)
        assertEquals(expected, read)
    }

    private fun judge(expected: DoubleArray = wave, actual: (Double, Int) -> Float): String? {
        val output = directBuffer(800)
        expected.forEachIndexed { at, value -> output.putFloat(8 * at, actual(value, at)) }
        return reason(expected, 2, info, output)
    }

    private fun reason(
        expected: DoubleArray,
        every: Int,
        info: TensorInfo,
        output: java.nio.ByteBuffer,
    ): String? {
        val golden = GoldenInput(directBuffer(4), listOf(GoldenOutput("out", every, expected)))
        return GoldenCheck(listOf(golden)).reasonAgainst(golden, listOf(info), listOf(output))
    }
}
