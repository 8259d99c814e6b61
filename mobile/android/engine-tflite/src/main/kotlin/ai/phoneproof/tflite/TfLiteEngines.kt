package ai.phoneproof.tflite

import ai.phoneproof.EngineError
import ai.phoneproof.PhoneproofError
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.AcceleratorKind
import ai.phoneproof.engine.Engine
import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.engine.ModelFile
import ai.phoneproof.engine.TfLiteSignature
import java.nio.ByteBuffer
import org.tensorflow.lite.Delegate
import org.tensorflow.lite.InterpreterApi

/** Makes a delegate for one interpreter, which closes it. */
public fun interface DelegateMaker {
    /** Throws where the device has no such thing. */
    public fun make(): Delegate
}

/**
 * Opens TFLite files with TensorFlow Lite (`org.tensorflow:tensorflow-lite` in the app).
 *
 * @param gpu makes the GPU delegate, `{ GpuDelegate() }` of `tensorflow-lite-gpu`; null where the
 *   app brings none. GPU delegates compute in float16.
 * @param npu makes the delegate of a neural processor (of its maker), null where the app has none.
 *   NNAPI is deprecated and not used.
 */
public class TfLiteEngines internal constructor(
    private val gpu: DelegateMaker?,
    private val npu: DelegateMaker?,
    private val create: (ByteBuffer, InterpreterApi.Options) -> InterpreterApi,
) : EngineFactory {
    @JvmOverloads
    public constructor(
        gpu: DelegateMaker? = null,
        npu: DelegateMaker? = null,
    ) : this(gpu, npu, { model, options -> InterpreterApi.create(model, options) })

    override val name: String = NAME

    override val candidates: List<Accelerator> =
        listOfNotNull(NPU.takeIf { npu != null }, GPU.takeIf { gpu != null }) +
            Accelerator.CPU_CHOICES

    @Suppress("TooGenericExceptionCaught") // TensorFlow Lite does not say which it throws
    override fun open(model: ModelFile, accelerator: Accelerator): Engine {
        val delegate = delegate(accelerator)
        var interpreter: InterpreterApi? = null
        try {
            val options = InterpreterApi.Options().setRuntime(RUNTIME)
            accelerator.threads?.let { options.setNumThreads(it) }
            delegate?.let { options.addDelegate(it) }
            val signature = TfLiteSignature.read(model.bytes)
            interpreter = create(model.bytes, options)
            return TfLiteEngine(interpreter, delegate, accelerator, signature)
        } catch (error: RuntimeException) {
            interpreter?.close()
            delegate?.close()
            throw error as? PhoneproofError ?: refused(error)
        }
    }

    private fun delegate(accelerator: Accelerator): Delegate? = when (accelerator.kind) {
        AcceleratorKind.CPU -> null
        AcceleratorKind.GPU -> made(gpu, accelerator)
        AcceleratorKind.NPU -> made(npu, accelerator)
    }

    @Suppress("TooGenericExceptionCaught") // a maker may throw what it likes
    private fun made(maker: DelegateMaker?, accelerator: Accelerator): Delegate {
        if (maker == null) throw EngineError("$NAME has no ${accelerator.title}")
        try {
            return maker.make()
        } catch (error: RuntimeException) {
            throw noDelegate(accelerator, error)
        } catch (error: LinkageError) {
            throw noDelegate(accelerator, error)
        }
    }

    private fun noDelegate(accelerator: Accelerator, cause: Throwable): EngineError {
        val found = cause.message ?: cause.javaClass.simpleName
        return EngineError("the ${accelerator.title} cannot be made", found, cause = cause)
    }

    private fun refused(cause: Throwable) = EngineError(
        "$NAME cannot open the model",
        cause.message,
        "check that it is a TFLite file whose operators this version of the library knows",
        cause,
    )

    internal companion object {
        const val NAME = "TensorFlow Lite"
        val RUNTIME = InterpreterApi.Options.TfLiteRuntime.FROM_APPLICATION_ONLY
        val GPU = Accelerator(AcceleratorKind.GPU, "GPU delegate", precision = "float16")
        val NPU = Accelerator(AcceleratorKind.NPU, "NPU delegate")
    }
}
