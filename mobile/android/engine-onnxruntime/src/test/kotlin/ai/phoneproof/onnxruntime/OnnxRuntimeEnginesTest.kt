package ai.phoneproof.onnxruntime

import ai.phoneproof.EngineError
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.AcceleratorKind
import ai.phoneproof.engine.ModelFile
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assume.assumeTrue
import org.junit.Test

/** The real library on the JVM. */
class OnnxRuntimeEnginesTest {
    private val case = File(System.getProperty("phoneproof.onnx.case").orEmpty())
    private val engines = OnnxRuntimeEngines()

    @Test
    fun `outputs are Python's to the last bit, again and again and from another buffer`() {
        assumeTrue("phoneproof.onnx.case names no folder", case.isDirectory)
        val bytes = File(case, "model.onnx").readBytes()
        engines.open(model(bytes), Accelerator.cpu(1)).use { engine ->
            repeat(3) {
                val outputs = engine.run(direct(File(case, "input.bin").readBytes()))
                assertEquals(engine.outputs.size, outputs.size)
                for ((info, output) in engine.outputs.zip(outputs)) {
                    val got = ByteArray(output.remaining()).also { output.duplicate().get(it) }
                    assertArrayEquals(File(case, "${info.name}.bin").readBytes(), got)
                }
            }
            engine.close() // `use` closes it again
        }
    }

    @Test
    fun `what is no model, and what it cannot compute on, is refused`() {
        assertThrows(EngineError::class.java) {
            engines.open(model("no model".toByteArray()), Accelerator.cpu(1))
        }
        val gpu = Accelerator(AcceleratorKind.GPU, "GPU")
        assertThrows(EngineError::class.java) { engines.open(model(ByteArray(8)), gpu) }
    }

    private fun model(bytes: ByteArray) = ModelFile(direct(bytes), "", null)

    private fun direct(bytes: ByteArray): ByteBuffer = ByteBuffer
        .allocateDirect(bytes.size).order(ByteOrder.nativeOrder())
        .apply { put(bytes).clear() }
}
