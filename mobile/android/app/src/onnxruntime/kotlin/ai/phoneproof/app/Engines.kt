package ai.phoneproof.app

import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.onnxruntime.OnnxRuntimeEngines
import android.content.Context

/** ONNX Runtime, with XNNPACK among the candidates. */
@Suppress("UNUSED_PARAMETER")
fun engines(context: Context): EngineFactory = OnnxRuntimeEngines(xnnpack = true)
