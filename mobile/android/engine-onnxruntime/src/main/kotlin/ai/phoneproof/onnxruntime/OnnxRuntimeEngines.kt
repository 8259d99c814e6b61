package ai.phoneproof.onnxruntime

import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import ai.phoneproof.EngineError
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.AcceleratorKind
import ai.phoneproof.engine.Engine
import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.engine.ModelFile

/**
 * Opens ONNX files with ONNX Runtime (`com.microsoft.onnxruntime:onnxruntime-android` in the app).
 *
 * @param xnnpack also try the XNNPACK provider, which the Android library has.
 */
public class OnnxRuntimeEngines @JvmOverloads constructor(xnnpack: Boolean = false) :
    EngineFactory {
    override val name: String = NAME

    override val candidates: List<Accelerator> =
        if (xnnpack) listOf(XNNPACK) + Accelerator.CPU_CHOICES else Accelerator.CPU_CHOICES

    override fun open(model: ModelFile, accelerator: Accelerator): Engine {
        if (accelerator.kind != AcceleratorKind.CPU) {
            throw EngineError("$NAME has no ${accelerator.title}")
        }
        try {
            val environment = OrtEnvironment.getEnvironment()
            OrtSession.SessionOptions().use { options ->
                val threads = accelerator.threads ?: 1
                options.setInterOpNumThreads(1)
                if (accelerator.name == XNNPACK.name) {
                    // XNNPACK has threads of its own; two pools would fight for the cores.
                    options.setIntraOpNumThreads(1)
                    options.addXnnpack(mapOf("intra_op_num_threads" to "$threads"))
                } else {
                    options.setIntraOpNumThreads(threads)
                }
                val session = environment.createSession(model.bytes.duplicate(), options)
                return OnnxRuntimeEngine(environment, session, accelerator)
            }
        } catch (error: OrtException) {
            throw EngineError(
                "$NAME cannot open the model",
                error.message,
                "check that it is an ONNX file of an opset that this version knows",
                error,
            )
        }
    }

    internal companion object {
        const val NAME = "ONNX Runtime"
        val XNNPACK = Accelerator(AcceleratorKind.CPU, "XNNPACK", threads = 4)
    }
}
