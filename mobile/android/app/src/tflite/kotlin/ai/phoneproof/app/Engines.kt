package ai.phoneproof.app

import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.tflite.TfLiteEngines
import android.content.Context

/** TensorFlow Lite on the CPU; `TfLiteEngines({ GpuDelegate() })` also tries the GPU. */
@Suppress("UNUSED_PARAMETER")
fun engines(context: Context): EngineFactory = TfLiteEngines()
