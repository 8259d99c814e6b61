package ai.phoneproof.testing

import ai.phoneproof.EngineError
import ai.phoneproof.ModelFileError
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.ModelFile
import ai.phoneproof.engine.TfLiteSignature
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assume.assumeTrue
import org.junit.Before
import org.junit.Test

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
    fun `the names that a file gives its tensors are read without a library`() {
        val bytes = ByteBuffer.wrap(File(case, "model.tflite").readBytes())
        val signature = TfLiteSignature.read(bytes)
        LiteRtJna(library).open(model("model.tflite"), Accelerator.cpu(1)).use { engine ->
            assertEquals(engine.inputs, signature.inputs)
            assertEquals(engine.outputs, signature.outputs)
        }
        assertEquals(signature.inputs[0].name, signature.name(signature.inputIndices[0]))
        assertEquals(null, signature.name(-1))
    }

    @Test
    fun `a model that was cut anywhere is no model, or still names its tensors`() {
        val whole = File(case, "model.tflite").readBytes()
        val names = TfLiteSignature.read(ByteBuffer.wrap(whole)).outputs
        for (length in 0 until whole.size step whole.size / CUTS) {
            val cut = ByteBuffer.wrap(whole.copyOf(length))
            try {
                assertEquals(names, TfLiteSignature.read(cut).outputs)
            } catch (error: ModelFileError) {
                assertEquals("this is no TFLite file", error.failed)
            }
        }
        assertThrows(
            ModelFileError::class.java,
        ) { TfLiteSignature.read(ByteBuffer.wrap(ByteArray(100))) }
    }

    @Test
    fun `a file that is no model is refused`() {
        val junk = File.createTempFile("junk", ".tflite").apply { writeText("no model") }
        val error = assertThrows(EngineError::class.java) {
            LiteRtJna(library).open(ModelFile(ByteBuffer.allocate(0), "", junk), Accelerator.cpu(1))
        }
        assertEquals("LiteRT cannot run the model", error.failed)
    }

    private fun model(name: String) = ModelFile(ByteBuffer.allocate(0), "", File(case, name))

    private companion object {
        const val CUTS = 200
    }
}
