package ai.phoneproof.litert

import ai.phoneproof.EngineError
import ai.phoneproof.contract.DType
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.Engine
import ai.phoneproof.engine.EngineTensors
import ai.phoneproof.engine.TensorInfo
import ai.phoneproof.engine.TfLiteSignature
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.LiteRtException
import com.google.ai.edge.litert.TensorBuffer
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * One compiled model with its buffers. LiteRT's Kotlin API takes and gives arrays: one of each
 * output's size is made by every run.
 */
internal class LiteRtEngine(
    private val compiled: CompiledModel,
    signature: TfLiteSignature,
    override val accelerator: Accelerator,
) : Engine {
    override val name: String = LiteRtEngines.NAME

    /** LiteRT's Kotlin API does not tell. */
    override val version: String = ""
    override val inputs: List<TensorInfo> = signature.inputs
    override val outputs: List<TensorInfo> = signature.outputs
    private val ins: List<TensorBuffer> = compiled.createInputBuffers()
    private val outs: List<TensorBuffer> = compiled.createOutputBuffers()
    private val results = EngineTensors.buffers(outputs)
    private val floats = FloatArray(
        if (inputs[0].dtype == DType.FLOAT32) inputs[0].bytes / 4 else 0,
    )
    private var isClosed = false
    private val bytes = ByteArray(if (inputs[0].dtype.bytes == 1) inputs[0].bytes else 0)

    override fun run(input: ByteBuffer): List<ByteBuffer> {
        try {
            write(input)
            compiled.run(ins, outs)
            for ((index, result) in results.withIndex()) read(outputs[index], outs[index], result)
        } catch (error: LiteRtException) {
            throw EngineError("LiteRT cannot run the model", error.message, cause = error)
        }
        return results
    }

    override fun close() {
        if (isClosed) return
        isClosed = true
        ins.forEach { it.close() }
        outs.forEach { it.close() }
        compiled.close()
    }

    private fun write(input: ByteBuffer) {
        val source = input.duplicate().order(ByteOrder.nativeOrder())
        source.clear()
        when (inputs[0].dtype) {
            DType.FLOAT32 -> {
                source.asFloatBuffer().get(floats)
                ins[0].writeFloat(floats)
            }

            DType.INT8, DType.UINT8 -> {
                source.get(bytes)
                ins[0].writeInt8(bytes)
            }

            else -> throw unhandled(inputs[0])
        }
    }

    private fun read(info: TensorInfo, buffer: TensorBuffer, result: ByteBuffer) {
        result.clear()
        when (info.dtype) {
            DType.FLOAT32 -> result.asFloatBuffer().put(buffer.readFloat())
            DType.INT32 -> result.asIntBuffer().put(buffer.readInt())
            DType.INT8, DType.UINT8 -> result.put(buffer.readInt8())
            else -> throw unhandled(info)
        }
        result.clear()
    }

    private fun unhandled(info: TensorInfo) = EngineError(
        "LiteRT's Kotlin API has no access to a tensor of this type",
        "${info.name}: ${info.dtype}",
        "build the file with float32 or int8 inputs and outputs",
    )
}
