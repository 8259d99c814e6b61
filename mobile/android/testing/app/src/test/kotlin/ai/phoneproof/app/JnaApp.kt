package ai.phoneproof.app

import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.Engine
import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.engine.ModelFile
import ai.phoneproof.testing.LiteRtJna
import java.io.File

/** The app with the LiteRT library of this machine in place of the phone's. */
class JnaApp : PhoneproofApp() {
    override fun engineFactory(): EngineFactory {
        val library = File(System.getProperty("phoneproof.litert").orEmpty())
        check(library.isFile) { "phoneproof.litert names no library" }
        return FileEngines(LiteRtJna(library), cacheDir)
    }
}

/** The library opens files, and the app's models lie in its assets. */
private class FileEngines(private val engines: EngineFactory, private val folder: File) :
    EngineFactory by engines {
    override fun open(model: ModelFile, accelerator: Accelerator): Engine {
        val file = File(folder, "${model.sha256}.tflite")
        if (!file.isFile) {
            file.outputStream().channel.use { it.write(model.bytes.duplicate()) }
        }
        return engines.open(ModelFile(model.bytes, model.sha256, file), accelerator)
    }
}
