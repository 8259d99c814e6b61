package ai.phoneproof.litert

import ai.phoneproof.EngineError
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.AcceleratorKind
import ai.phoneproof.engine.Engine
import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.engine.EngineTensors
import ai.phoneproof.engine.ModelFile
import ai.phoneproof.engine.TfLiteSignature
import com.google.ai.edge.litert.Accelerator as LiteRtAccelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.Environment
import com.google.ai.edge.litert.LiteRtException
import java.io.File
import java.io.IOException

/**
 * Opens TFLite files with LiteRT 2.x (`com.google.ai.edge.litert:litert` in the app): the engine to
 * ship, whose libraries have 16 KB pages.
 *
 * This module is compiled against stubs of LiteRT's public Kotlin sources, since Maven Central does
 * not serve the library: it was not run where it is built. What it computes is checked on the
 * device, by the golden vectors, before it is used.
 *
 * Each accelerator is asked for alone. Asked for together with the CPU, LiteRT may give the CPU in
 * its place and would not say so.
 *
 * @param folder where a model that lies inside an APK is copied to, `context.noBackupFilesDir`:
 *   LiteRT opens files.
 * @param environment with the libraries of a neural processor; null: only GPU and CPU are tried.
 */
public class LiteRtEngines @JvmOverloads constructor(
    private val folder: File,
    private val environment: Environment? = null,
) : EngineFactory {
    override val name: String = NAME

    override val candidates: List<Accelerator> by lazy(LazyThreadSafetyMode.PUBLICATION) {
        val known = environment?.getAvailableAccelerators() ?: setOf(LiteRtAccelerator.GPU)
        listOfNotNull(
            NPU.takeIf { LiteRtAccelerator.NPU in known },
            GPU.takeIf { LiteRtAccelerator.GPU in known },
        ) + Accelerator.CPU_CHOICES
    }

    override fun open(model: ModelFile, accelerator: Accelerator): Engine {
        val signature = TfLiteSignature.read(model.bytes)
        EngineTensors.requireOneInput(signature.inputs)
        var compiled: CompiledModel? = null
        try {
            val path = (model.file ?: copied(model)).path
            compiled = CompiledModel.create(path, options(accelerator), environment)
            return LiteRtEngine(compiled, signature, accelerator)
        } catch (error: EngineError) {
            compiled?.close()
            throw error
        } catch (error: LiteRtException) {
            compiled?.close()
            throw refused(error)
        } catch (error: IOException) {
            throw refused(error)
        }
    }

    private fun options(accelerator: Accelerator): CompiledModel.Options {
        val kind = when (accelerator.kind) {
            AcceleratorKind.CPU -> LiteRtAccelerator.CPU
            AcceleratorKind.GPU -> LiteRtAccelerator.GPU
            AcceleratorKind.NPU -> LiteRtAccelerator.NPU
        }
        return CompiledModel.Options(kind).apply {
            accelerator.threads?.let { cpuOptions = CompiledModel.CpuOptions(numThreads = it) }
        }
    }

    /** Written once a model: another start finds it under its hash. */
    private fun copied(model: ModelFile): File {
        val file = File(folder, "${model.sha256}.tflite")
        if (file.length() == model.bytes.capacity().toLong()) return file
        folder.mkdirs()
        val part = File.createTempFile("model", ".part", folder)
        try {
            val bytes = model.bytes.duplicate().apply { clear() }
            part.outputStream().channel.use { while (bytes.hasRemaining()) it.write(bytes) }
            if (!part.renameTo(file)) throw IOException("cannot write $file")
        } finally {
            part.delete()
        }
        return file
    }

    private fun refused(cause: Exception) = EngineError(
        "$NAME cannot open the model",
        cause.message,
        "check that it is a TFLite file whose operators this version of the library knows",
        cause,
    )

    internal companion object {
        const val NAME = "LiteRT"
        val GPU = Accelerator(AcceleratorKind.GPU, "GPU", precision = "float16")
        val NPU = Accelerator(AcceleratorKind.NPU, "NPU")
    }
}
