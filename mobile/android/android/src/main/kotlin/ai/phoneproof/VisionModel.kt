package ai.phoneproof

import ai.phoneproof.acceleration.AcceleratedEngine
import ai.phoneproof.acceleration.SelectionStore
import ai.phoneproof.acceleration.SharedPreferencesStore
import ai.phoneproof.acceleration.Trial
import ai.phoneproof.acceleration.TrialLimits
import ai.phoneproof.acceleration.selectionKey
import ai.phoneproof.contract.Binding
import ai.phoneproof.contract.Contract
import ai.phoneproof.contract.Task
import ai.phoneproof.decode.Classification
import ai.phoneproof.decode.Decoder
import ai.phoneproof.decode.Detection
import ai.phoneproof.decode.OutputTensor
import ai.phoneproof.decode.RawTensor
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.image.PictureInput
import ai.phoneproof.pixels.GeometryPlan
import ai.phoneproof.selftest.PixelDump
import android.content.Context
import android.graphics.Bitmap
import android.media.Image
import android.net.Uri
import java.io.Closeable
import java.io.File
import java.io.IOException
import java.util.concurrent.Executors
import java.util.concurrent.RejectedExecutionException
import kotlin.coroutines.suspendCoroutine

/**
 * How a model is opened.
 *
 * @property limits of trying accelerators.
 * @property leastSnrDb least signal-to-noise ratio of an accelerator's outputs against the golden
 *   ones.
 * @property store where the choice is remembered; null: in the app's preferences.
 */
public class VisionModelOptions @JvmOverloads constructor(
    public val limits: TrialLimits = TrialLimits(),
    public val leastSnrDb: Double = 35.0,
    public val store: SelectionStore? = null,
)

/**
 * A model that sees exactly what training saw: pictures in, results out.
 *
 * Every function may be called from any thread; calls that come at once are served one after the
 * other. Buffers are made when the model is opened or a new picture size comes, and used again.
 * Inference takes milliseconds to seconds: do not call from the main thread, or use the suspending
 * forms, which run on a thread of the model and resume where they were called. They need nothing
 * but the language; they are not cancelled while they wait. From Java, call the blocking forms on
 * an executor of yours.
 */
public class VisionModel private constructor(
    private val parts: ModelParts,
    private val input: PictureInput,
    private val engine: AcceleratedEngine,
) : Closeable {
    private val lock = Any()
    private val decoder = Decoder(parts.contract, parts.binding)
    private val outputs = outputTensors(engine)
    private val worker = Executors.newSingleThreadExecutor { Thread(it, "phoneproof model") }

    @Volatile private var isClosed = false

    /** What the model means. */
    public val contract: Contract get() = parts.contract

    /** How the file's tensors carry that. */
    public val binding: Binding get() = parts.binding

    /** What computes now. Does not wait for a call that is being served, as [whyNot] does not. */
    public val acceleratorInUse: Accelerator
        get() {
            requireOpen()
            return engine.acceleratorInUse
        }

    /** Every other accelerator, with the reason against it. */
    public val whyNot: List<Trial>
        get() {
            requireOpen()
            return engine.whyNot
        }

    /**
     * Detections, best first; boxes are in pixels of the upright picture.
     *
     * @param bitmap ARGB_8888, in main memory; it is left as it was.
     * @param rotationDegrees by which it must be turned clockwise to be upright.
     * @throws PhoneproofError an unusable bitmap, a model of another task, or a closed one.
     */
    @JvmOverloads
    @Throws(PhoneproofError::class)
    public fun detect(bitmap: Bitmap?, rotationDegrees: Int = 0): List<Detection> =
        detecting { input.fill(bitmap, rotationDegrees) }

    /** Detections of a picture file, its orientation tag heeded as the contract says. */
    @Throws(PhoneproofError::class)
    public fun detect(file: File): List<Detection> =
        detecting { input.files.decode(file).use(input::fill) }

    /** Detections of what [uri] leads to, a picked photo say. */
    @Throws(PhoneproofError::class)
    public fun detect(context: Context, uri: Uri): List<Detection> =
        detecting { input.files.decode(context, uri).use(input::fill) }

    /** Detections of a camera frame (YUV_420_888), which must stay open until this returns. */
    @Throws(PhoneproofError::class)
    public fun detect(frame: Image?, rotationDegrees: Int): List<Detection> =
        detecting { input.fill(frame, rotationDegrees) }

    /**
     * Classes, most probable first.
     *
     * @param bitmap ARGB_8888, in main memory; it is left as it was.
     * @param rotationDegrees by which it must be turned clockwise to be upright.
     * @throws PhoneproofError an unusable bitmap, a model of another task, or a closed one.
     */
    @JvmOverloads
    @Throws(PhoneproofError::class)
    public fun classify(bitmap: Bitmap?, rotationDegrees: Int = 0): List<Classification> =
        classifying { input.fill(bitmap, rotationDegrees) }

    /** Classes of a picture file, its orientation tag heeded as the contract says. */
    @Throws(PhoneproofError::class)
    public fun classify(file: File): List<Classification> =
        classifying { input.files.decode(file).use(input::fill) }

    /** Classes of what [uri] leads to, a picked photo say. */
    @Throws(PhoneproofError::class)
    public fun classify(context: Context, uri: Uri): List<Classification> =
        classifying { input.files.decode(context, uri).use(input::fill) }

    /** Classes of a camera frame (YUV_420_888), which must stay open until this returns. */
    @Throws(PhoneproofError::class)
    public fun classify(frame: Image?, rotationDegrees: Int): List<Classification> =
        classifying { input.fill(frame, rotationDegrees) }

    /**
     * The outputs of a model whose task is raw, dequantised. Each call copies them.
     *
     * @param bitmap ARGB_8888, in main memory; it is left as it was.
     * @param rotationDegrees by which it must be turned clockwise to be upright.
     * @throws PhoneproofError an unusable bitmap, a model of another task, or a closed one.
     */
    @JvmOverloads
    @Throws(PhoneproofError::class)
    public fun raw(bitmap: Bitmap?, rotationDegrees: Int = 0): List<RawTensor> =
        giving { input.fill(bitmap, rotationDegrees) }

    /** The outputs for a picture file, its orientation tag heeded as the contract says. */
    @Throws(PhoneproofError::class)
    public fun raw(file: File): List<RawTensor> =
        giving { input.files.decode(file).use(input::fill) }

    /** The outputs for what [uri] leads to, a picked photo say. */
    @Throws(PhoneproofError::class)
    public fun raw(context: Context, uri: Uri): List<RawTensor> =
        giving { input.files.decode(context, uri).use(input::fill) }

    /** The outputs for a camera frame (YUV_420_888), which must stay open until this returns. */
    @Throws(PhoneproofError::class)
    public fun raw(frame: Image?, rotationDegrees: Int): List<RawTensor> =
        giving { input.fill(frame, rotationDegrees) }

    /** [detect] without blocking the caller's thread. */
    public suspend fun awaitDetect(bitmap: Bitmap?, rotationDegrees: Int = 0): List<Detection> =
        awaited { detect(bitmap, rotationDegrees) }

    /** [classify] without blocking the caller's thread. */
    public suspend fun awaitClassify(
        bitmap: Bitmap?,
        rotationDegrees: Int = 0,
    ): List<Classification> = awaited { classify(bitmap, rotationDegrees) }

    /**
     * Writes the tensor that the model is fed for [bitmap], for `phoneproof pixels --against`.
     *
     * @throws IOException the file cannot be written.
     */
    @JvmOverloads
    @Throws(PhoneproofError::class, IOException::class)
    public fun dumpPixels(bitmap: Bitmap?, file: File, rotationDegrees: Int = 0): Unit = locked {
        input.fill(bitmap, rotationDegrees)
        PixelDump.write(input.tensor, file)
    }

    /** The same of a picture file. */
    @Throws(PhoneproofError::class, IOException::class)
    public fun dumpPixels(picture: File, file: File): Unit = locked {
        input.files.decode(picture).use(input::fill)
        PixelDump.write(input.tensor, file)
    }

    /** Frees the engine; waits for a call that is being served. Later calls throw [ClosedError]. */
    override fun close() {
        synchronized(lock) {
            if (isClosed) return
            isClosed = true
            engine.close()
            worker.shutdown()
        }
    }

    private inline fun detecting(fill: () -> GeometryPlan): List<Detection> = locked {
        requireTask(Task.DETECT, "detect")
        val plan = fill()
        decoder.detections(run(), plan)
    }

    private inline fun classifying(fill: () -> GeometryPlan): List<Classification> = locked {
        requireTask(Task.CLASSIFY, "classify")
        fill()
        decoder.classes(run())
    }

    private inline fun giving(fill: () -> GeometryPlan): List<RawTensor> = locked {
        requireTask(Task.RAW, "raw")
        fill()
        decoder.raw(run())
    }

    private fun run(): List<OutputTensor> {
        val found = engine.run(input.tensor)
        for (index in found.indices) outputs[index].bytes = found[index]
        return outputs
    }

    /** Takes no lock: the caller may be the main thread while a call is being served. */
    private suspend fun <T> awaited(work: () -> T): T = suspendCoroutine { continuation ->
        requireOpen()
        try {
            worker.execute { continuation.resumeWith(runCatching(work)) }
        } catch (error: RejectedExecutionException) {
            throw closed(error)
        }
    }

    private inline fun <T> locked(work: () -> T): T = synchronized(lock) {
        requireOpen()
        work()
    }

    private fun requireOpen() {
        if (isClosed) throw closed()
    }

    private fun closed(cause: Exception? = null) = ClosedError(
        "the model is closed",
        nextStep = "open it again, or close it after its last use",
        cause = cause,
    )

    private fun requireTask(task: Task, call: String) {
        if (contract.task == task) return
        throw ContractError(
            "$call is not what this model does",
            "a model for ${contract.task.name.lowercase()}",
            "call ${contract.task.name.lowercase()} instead",
        )
    }

    public companion object {
        /**
         * Opens a model from the app's assets, which hold a bundle under `phoneproof/`.
         *
         * @param model the file within the bundle, `artifacts/model_float32.tflite` say.
         * @param engines the library that runs it.
         * @throws PhoneproofError a missing, altered or newer file, parts of several bundles, or no
         *   accelerator that computes the model rightly.
         */
        @JvmStatic
        @JvmOverloads
        @Throws(PhoneproofError::class)
        public fun fromAssets(
            context: Context,
            model: String,
            engines: EngineFactory,
            options: VisionModelOptions = VisionModelOptions(),
        ): VisionModel = open(context, ModelFolder.assets(context.assets), model, engines, options)

        /**
         * Opens a model from a bundle on disk, one that was downloaded say.
         *
         * @param bundle the bundle's folder.
         */
        @JvmStatic
        @JvmOverloads
        @Throws(PhoneproofError::class)
        public fun fromFile(
            context: Context,
            bundle: File,
            model: String,
            engines: EngineFactory,
            options: VisionModelOptions = VisionModelOptions(),
        ): VisionModel = open(context, ModelFolder.disk(bundle), model, engines, options)

        private fun open(
            context: Context,
            folder: ModelFolder,
            model: String,
            engines: EngineFactory,
            options: VisionModelOptions,
        ): VisionModel {
            val parts = ModelParts.read(folder, model)
            val input = PictureInput(parts.contract.image, parts.binding.image)
            val engine = AcceleratedEngine.open(
                engines,
                parts.file,
                parts.check(input, options.leastSnrDb),
                options.store ?: SharedPreferencesStore(context),
                selectionKey(context, parts.file, engines),
                options.limits,
            )
            try {
                parts.requireTensors(engine)
                return VisionModel(parts, input, engine)
            } catch (error: PhoneproofError) {
                engine.close()
                throw error
            }
        }
    }
}
