package ai.phoneproof.tflite

import ai.phoneproof.EngineError
import ai.phoneproof.ModelFileError
import ai.phoneproof.contract.DType
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.Engine
import ai.phoneproof.engine.ModelFile
import ai.phoneproof.engine.TensorInfo
import ai.phoneproof.engine.TfLiteSignature
import ai.phoneproof.testing.LiteRtJna
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Before
import org.junit.Test
import org.tensorflow.lite.DataType
import org.tensorflow.lite.Delegate
import org.tensorflow.lite.InterpreterApi
import org.tensorflow.lite.Tensor

/** The real LiteRT library plays the interpreter; its tensors have odd names here. */
class TfLiteEnginesTest {
    private val library = File(System.getProperty("phoneproof.litert").orEmpty())
    private val case = File(System.getProperty("phoneproof.litert.case").orEmpty())
    private val seen = ArrayList<InterpreterApi.Options>()

    @Before
    fun needsTheLibrary() {
        assumeTrue("phoneproof.litert names no library", library.isFile)
        assumeTrue("phoneproof.litert.case names no folder", case.isDirectory)
    }

    @Test
    fun `outputs are Python's, under the names of the signature`() {
        val engine = engines().open(model(), Accelerator.cpu(2))
        val input = direct(File(case, "input.bin").readBytes())
        repeat(2) {
            val outputs = engine.run(input)
            for ((info, output) in engine.outputs.zip(outputs)) {
                val got = ByteArray(output.remaining()).also { output.duplicate().get(it) }
                assertArrayEquals(File(case, "${info.name}.bin").readBytes(), got)
            }
        }
        assertEquals(2, seen.single().numThreads)
        engine.close()
    }

    @Test
    fun `a delegate is given to the interpreter, and closed with it or without it`() {
        var closed = 0
        val delegate = object : Delegate {
            override fun getNativeHandle() = 0L

            override fun close() {
                closed++
            }
        }
        val engines = engines(gpu = { delegate })
        assertEquals(TfLiteEngines.GPU, engines.candidates.first())
        engines.open(model(), TfLiteEngines.GPU).close()
        assertEquals(delegate to 1, seen.single().delegates.single() to closed)
        val refusing = TfLiteEngines(
            { delegate },
            null,
        ) { _, _ -> throw IllegalArgumentException("Internal error") }
        val error =
            assertThrows(EngineError::class.java) { refusing.open(model(), TfLiteEngines.GPU) }
        assertEquals("Internal error" to 2, error.found to closed)
    }

    @Test
    fun `an interpreter that does not fit is closed, and its delegate after it`() {
        val closed = ArrayList<String>()
        val delegate = object : Delegate {
            override fun getNativeHandle() = 0L

            override fun close() {
                closed += "delegate"
            }
        }
        val engine = LiteRtJna(library).open(model(), Accelerator.cpu(1))
        val played = PlayedInterpreter(engine, TfLiteSignature.read(model().bytes))
        val engines = TfLiteEngines({ delegate }, null) { _, _ ->
            object : InterpreterApi by played {
                override fun getInputTensorCount() = 0

                override fun close() {
                    closed += "interpreter"
                    played.close()
                }
            }
        }
        assertThrows(EngineError::class.java) { engines.open(model(), TfLiteEngines.GPU) }
        assertEquals(listOf("interpreter", "delegate"), closed)
    }

    @Test
    fun `a delegate that cannot be made is an error, linkage and all`() {
        val faults = listOf<Throwable>(
            IllegalStateException("no OpenCL"),
            UnsatisfiedLinkError("no libgpu.so"),
        )
        for (fault in faults) {
            val error = assertThrows(EngineError::class.java) {
                engines(gpu = { throw fault }).open(model(), TfLiteEngines.GPU)
            }
            assertEquals(fault.message, error.found)
        }
        assertThrows(EngineError::class.java) { engines().open(model(), TfLiteEngines.NPU) }
    }

    @Test
    fun `bytes that are no model are refused before the library sees them`() {
        val junk = ModelFile(direct(ByteArray(64)), "", null)
        assertThrows(ModelFileError::class.java) { engines().open(junk, Accelerator.cpu(1)) }
        assertTrue(seen.isEmpty())
    }

    private fun model() =
        ModelFile(direct(File(case, "model.tflite").readBytes()), "", File(case, "model.tflite"))

    private fun engines(gpu: DelegateMaker? = null) = TfLiteEngines(gpu, null) { _, options ->
        seen += options
        PlayedInterpreter(
            LiteRtJna(library).open(model(), Accelerator.cpu(1)),
            TfLiteSignature.read(model().bytes),
        )
    }

    private fun direct(bytes: ByteArray): ByteBuffer = ByteBuffer
        .allocateDirect(bytes.size).order(ByteOrder.nativeOrder())
        .apply { put(bytes).clear() }
}

/** What InterpreterApi shows of [engine]. */
private class PlayedInterpreter(
    private val engine: Engine,
    private val signature: TfLiteSignature,
) : InterpreterApi {
    override fun allocateTensors() = Unit

    override fun getInputTensorCount() = engine.inputs.size

    override fun getOutputTensorCount() = engine.outputs.size

    override fun getInputTensor(index: Int) =
        PlayedTensor(engine.inputs[index], signature.inputIndices[index])

    override fun getOutputTensor(index: Int) =
        PlayedTensor(engine.outputs[index], signature.outputIndices[index])

    override fun runForMultipleInputsOutputs(
        inputs: Array<out Any>,
        outputs: MutableMap<Int, Any>,
    ) {
        val results = engine.run(inputs.single() as ByteBuffer)
        for ((index, buffer) in outputs) (buffer as ByteBuffer).put(results[index].duplicate())
    }

    override fun close() = engine.close()

    override fun run(input: Any, output: Any): Unit = error("not used")

    override fun resizeInput(index: Int, dims: IntArray): Unit = error("not used")

    override fun resizeInput(index: Int, dims: IntArray, strict: Boolean): Unit = error("not used")

    override fun getInputIndex(name: String): Int = error("not used")

    override fun getOutputIndex(name: String): Int = error("not used")

    override fun getLastNativeInferenceDurationNanoseconds(): Long? = null
}

private class PlayedTensor(private val info: TensorInfo, private val index: Int) : Tensor {
    override fun dataType(): DataType =
        if (info.dtype == DType.FLOAT32) DataType.FLOAT32 else DataType.INT8

    override fun numDimensions() = info.shape.size

    override fun numBytes() = info.bytes

    override fun numElements() = info.bytes / info.dtype.bytes

    override fun shape() = info.shape.toIntArray()

    override fun shapeSignature() = shape()

    override fun index() = index

    override fun name() = "StatefulPartitionedCall:$index"

    override fun quantizationParams(): Tensor.QuantizationParams? = null

    override fun asReadOnlyBuffer(): ByteBuffer = ByteBuffer.allocate(0)
}
