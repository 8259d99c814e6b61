package ai.phoneproof.app

import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.litert.LiteRtEngines
import android.content.Context

/** LiteRT 2.x. It opens files, so a model inside the APK is copied once. */
fun engines(context: Context): EngineFactory = LiteRtEngines(context.noBackupFilesDir)
