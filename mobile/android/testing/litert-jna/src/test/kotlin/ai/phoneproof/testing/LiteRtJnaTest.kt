package ai.phoneproof.testing

import ai.phoneproof.EngineError
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.ModelFile
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assume.assumeTrue
import org.junit.Before
import org.junit.Test
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** The library runs a model as it does from Python: the case holds what Python got. */
class LiteRtJnaTest {
    private val library = File(System.getProperty("phoneproof.litert").orEmpty())
    private val case = File(System.getProperty("phoneproof.litert.case").orEmpty())

    @Before
    fun needsTheLibrary() {
        assumeTrue("phoneproof.litert names no library", library.isFile)
        assumeTrue("phoneproof.litert.case names no folder", case.isDirectory)
    }

    @Test
    fun `outputs equal Python's to the last bit, again and again`() {
        val input = File(case, "input.bin").readBytes()
        val direct = ByteBuffer.allocateDirect(input.size).order(ByteOrder.nativeOrder())
        direct.put(input).flip()
        LiteRtJna(library).open(model("model.tflite"), Accelerator.cpu(1)).use { engine ->
            assertEquals(input.size, engine.inputs.single().bytes)
            repeat(3) {
                val outputs = engine.run(direct)
                for ((info, output) in engine.outputs.zip(outputs)) {
                    val got = ByteArray(output.remaining()).also { output.duplicate().get(it) }
                    assertArrayEquals(File(case, "${info.name}.bin").readBytes(), got)
                }
            }
        }
    }

    @Test
    fun `a file that is no model is refused`() {
        val junk = File.createTempFile("junk", ".tflite").apply { writeText("no model") }
        val error =
            assertThrows(EngineError::class.java) {
                LiteRtJna(library).open(ModelFile(ByteBuffer.allocate(0), "", junk), Accelerator.cpu(1))
            }
        assertEquals("LiteRT cannot run the model", error.failed)
    }

    private fun model(name: String) = ModelFile(ByteBuffer.allocate(0), "", File(case, name))
}
