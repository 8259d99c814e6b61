package ai.phoneproof.tflite

import ai.phoneproof.EngineError
import ai.phoneproof.contract.DType
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.Engine
import ai.phoneproof.engine.EngineTensors
import ai.phoneproof.engine.TensorInfo
import ai.phoneproof.engine.TfLiteSignature
import java.nio.ByteBuffer
import org.tensorflow.lite.DataType
import org.tensorflow.lite.Delegate
import org.tensorflow.lite.InterpreterApi
import org.tensorflow.lite.Tensor
import org.tensorflow.lite.TensorFlowLite

/** One interpreter with its buffers. */
internal class TfLiteEngine(
    private val interpreter: InterpreterApi,
    private val delegate: Delegate?,
    override val accelerator: Accelerator,
    signature: TfLiteSignature,
) : Engine {
    override val name: String = TfLiteEngines.NAME
    override val version: String = try {
        TensorFlowLite.runtimeVersion(TfLiteEngines.RUNTIME)
    } catch (_: RuntimeException) {
        ""
    } catch (_: LinkageError) {
        ""
    }

    override val inputs: List<TensorInfo>
    override val outputs: List<TensorInfo>
    private val results: List<ByteBuffer>
    private val given = arrayOfNulls<Any>(1)
    private val taken = HashMap<Int, Any>()

    init {
        interpreter.allocateTensors()
        inputs =
            List(interpreter.inputTensorCount) { info(interpreter.getInputTensor(it), signature) }
        outputs =
            List(interpreter.outputTensorCount) { info(interpreter.getOutputTensor(it), signature) }
        EngineTensors.requireOneInput(inputs)
        results = EngineTensors.buffers(outputs)
        results.forEachIndexed { index, buffer -> taken[index] = buffer }
    }

    @Suppress("TooGenericExceptionCaught") // TensorFlow Lite does not say which it throws
    override fun run(input: ByteBuffer): List<ByteBuffer> {
        input.clear()
        given[0] = input
        for (result in results) result.clear()
        try {
            interpreter.runForMultipleInputsOutputs(given, taken)
        } catch (error: RuntimeException) {
            throw EngineError("TensorFlow Lite cannot run the model", error.message, cause = error)
        }
        input.clear()
        for (result in results) result.clear()
        return results
    }

    override fun close() {
        interpreter.close()
        delegate?.close()
    }

    private fun info(tensor: Tensor, signature: TfLiteSignature): TensorInfo {
        val dtype = DTYPES[tensor.dataType()] ?: throw EngineError(
            "the model has a tensor of a type that is not handled",
            "${tensor.name()}: ${tensor.dataType()}",
        )
        return TensorInfo(
            signature.name(tensor.index()) ?: tensor.name(),
            dtype,
            tensor.shape().toList(),
        )
    }

    private companion object {
        val DTYPES = mapOf(
            DataType.FLOAT32 to DType.FLOAT32,
            DataType.INT32 to DType.INT32,
            DataType.UINT8 to DType.UINT8,
            DataType.INT64 to DType.INT64,
            DataType.INT16 to DType.INT16,
            DataType.INT8 to DType.INT8,
            DataType.BOOL to DType.BOOL,
        )
    }
}
