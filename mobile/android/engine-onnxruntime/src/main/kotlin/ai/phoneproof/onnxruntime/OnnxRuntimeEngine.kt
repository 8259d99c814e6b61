package ai.phoneproof.onnxruntime

import ai.onnxruntime.NodeInfo
import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import ai.phoneproof.EngineError
import ai.phoneproof.contract.DType
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.Engine
import ai.phoneproof.engine.EngineTensors
import ai.phoneproof.engine.TensorInfo
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** One session; its tensors lie over buffers that are made once. */
internal class OnnxRuntimeEngine(
    private val environment: OrtEnvironment,
    private val session: OrtSession,
    override val accelerator: Accelerator,
) : Engine {
    override val name: String = OnnxRuntimeEngines.NAME
    override val version: String = environment.version
    override val inputs: List<TensorInfo>
    override val outputs: List<TensorInfo>
    private val results: List<ByteBuffer>
    private val taken = LinkedHashMap<String, OnnxTensor>()
    private val given = HashMap<String, OnnxTensor>()
    private var source: ByteBuffer? = null
    private var isClosed = false

    init {
        try {
            inputs = session.inputInfo.values.map(::info)
            outputs = session.outputInfo.values.map(::info)
            EngineTensors.requireOneInput(inputs)
            results = EngineTensors.buffers(outputs)
            for ((info, buffer) in outputs.zip(results)) taken[info.name] = tensor(info, buffer)
        } catch (error: EngineError) {
            close()
            throw error
        }
    }

    override fun run(input: ByteBuffer): List<ByteBuffer> {
        try {
            if (source !== input) bind(input)
            session.run(given, taken).close()
        } catch (error: OrtException) {
            throw EngineError("ONNX Runtime cannot run the model", error.message, cause = error)
        }
        return results
    }

    override fun close() {
        if (isClosed) return
        isClosed = true
        (given.values + taken.values).forEach { it.close() }
        given.clear()
        taken.clear()
        session.close()
    }

    /** A tensor over the caller's buffer: the same one comes every time. */
    private fun bind(input: ByteBuffer) {
        given.values.forEach { it.close() }
        given[inputs[0].name] = tensor(inputs[0], input)
        source = input
    }

    private fun tensor(info: TensorInfo, buffer: ByteBuffer): OnnxTensor {
        val bytes = buffer.duplicate().order(ByteOrder.nativeOrder()).apply { clear() }
        val shape = info.shape.map { it.toLong() }.toLongArray()
        val type = TYPES.entries.first { it.value == info.dtype }.key
        return OnnxTensor.createTensor(environment, bytes, shape, type)
    }

    private fun info(node: NodeInfo): TensorInfo {
        val tensor = node.info as? ai.onnxruntime.TensorInfo
        val dtype = TYPES[tensor?.type]
        if (tensor == null || dtype == null || tensor.shape.any { it !in 1..Int.MAX_VALUE }) {
            throw EngineError(
                "the model has a tensor that is not handled",
                "${node.name}: ${node.info}",
                "use a model of fixed sizes that phoneproof built",
            )
        }
        return TensorInfo(node.name, dtype, tensor.shape.map { it.toInt() })
    }

    private companion object {
        val TYPES = mapOf(
            OnnxJavaType.FLOAT to DType.FLOAT32,
            OnnxJavaType.FLOAT16 to DType.FLOAT16,
            OnnxJavaType.INT8 to DType.INT8,
            OnnxJavaType.UINT8 to DType.UINT8,
            OnnxJavaType.INT16 to DType.INT16,
            OnnxJavaType.INT32 to DType.INT32,
            OnnxJavaType.INT64 to DType.INT64,
            OnnxJavaType.BOOL to DType.BOOL,
        )
    }
}
