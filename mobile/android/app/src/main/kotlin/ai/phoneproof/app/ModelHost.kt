package ai.phoneproof.app

import ai.phoneproof.ModelFolder
import ai.phoneproof.PhoneproofError
import ai.phoneproof.VisionModel
import ai.phoneproof.engine.EngineFactory
import android.content.Context
import android.os.Handler
import android.os.HandlerThread
import android.os.Looper
import java.io.IOException

/**
 * The model in use. It is opened, run and closed on a thread of its own, [handler]'s; the chosen
 * one stays open across screens and rotations until [close].
 */
class ModelHost(private val context: Context, val engines: EngineFactory) {
    private val preferences = context.getSharedPreferences("models", Context.MODE_PRIVATE)
    private val main = Handler(Looper.getMainLooper())

    /** Of the thread on which the model lives; camera frames come here as well. */
    val handler = Handler(HandlerThread("model").apply { start() }.looper)
    val latency = Latency()
    val folder: ModelFolder = ModelFolder.assets(context.assets)

    /** All model files of the bundle. */
    val models: List<String> by lazy { folder.models() }

    /** The chosen model file; a later version of the app may not have it any more. */
    var chosen: String
        get() =
            preferences.getString(CHOSEN, null).takeIf { it in models }
                ?: models.firstOrNull()
                ?: NONE
        set(model) {
            if (model == chosen) return
            preferences.edit().putString(CHOSEN, model).apply()
            close()
        }

    private var model: VisionModel? = null
    private var path: String? = null

    /** The chosen model, opened if need be. Only on [handler]'s thread. */
    fun model(): VisionModel {
        check(handler.looper.isCurrentThread) { "the model lives on a thread of its own" }
        val wanted = chosen
        if (path != wanted) release()
        return model ?: VisionModel.fromAssets(context, wanted, engines).also {
            model = it
            path = wanted
        }
    }

    /** Does [work] with the model; [done] gets its result, or what the library threw, on the main thread. */
    fun <T> run(work: (VisionModel) -> T, done: (Result<T>) -> Unit) = post({ work(model()) }, done)

    /** Does [work] without a model: the accelerators are free for it. */
    fun <T> runAlone(work: () -> T, done: (Result<T>) -> Unit) = post(
        {
            release()
            work()
        },
        done,
    )

    /** [work] on the main thread. */
    fun onMain(work: () -> Unit) {
        main.post(work)
    }

    /** Closes the model after what was asked for before; the next use opens it again. */
    fun close() {
        handler.post(::release)
    }

    private fun <T> post(work: () -> T, done: (Result<T>) -> Unit) {
        handler.post {
            val result = try {
                Result.success(work())
            } catch (error: PhoneproofError) {
                Result.failure(error)
            } catch (error: IOException) {
                Result.failure(error)
            }
            main.post { done(result) }
        }
    }

    private fun release() {
        model?.close()
        model = null
        path = null
        latency.clear()
    }

    private companion object {
        const val CHOSEN = "chosen"

        /** Opening it says what is missing. */
        const val NONE = "artifacts/model.tflite"
    }
}
