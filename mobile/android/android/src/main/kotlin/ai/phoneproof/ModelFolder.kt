package ai.phoneproof

import ai.phoneproof.engine.ModelFile
import android.content.res.AssetManager
import java.io.File
import java.io.FileInputStream
import java.io.FileNotFoundException
import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel
import java.security.MessageDigest

/** A bundle, laid out as `phoneproof build` leaves it: in the assets of an app, or on disk. */
public abstract class ModelFolder internal constructor() {
    /** Opens a file of the folder. */
    @Throws(IOException::class)
    protected abstract fun open(path: String): InputStream

    /** The names within a folder of it; none where there is no such folder. */
    protected abstract fun names(path: String): List<String>

    /** The bytes of a file, mapped where that is possible. */
    @Throws(IOException::class)
    internal abstract fun map(path: String): ByteBuffer

    /** The file itself, null where it lies inside an APK. */
    internal abstract fun file(path: String): File?

    /** The model files of the bundle that have their binding beside them, by name. */
    public fun models(): List<String> {
        val names = names(ARTIFACTS).sorted()
        return names.filter { "$it$BINDING" in names }.map { "$ARTIFACTS/$it" }
    }

    /** @throws ModelFileError the file is missing or cannot be read. */
    internal fun read(path: String): ByteArray = try {
        open(path).use { it.readBytes() }
    } catch (error: IOException) {
        throw missing(path, error)
    }

    /** Whether there is such a file. */
    internal fun has(path: String): Boolean = try {
        open(path).close()
        true
    } catch (_: IOException) {
        false
    }

    /**
     * A model file whose bytes are those that [sha256] speaks of.
     *
     * @throws ModelFileError it is missing, altered or larger than can be mapped.
     */
    internal fun model(path: String, sha256: String?): ModelFile {
        val bytes = try {
            map(path)
        } catch (error: IOException) {
            throw missing(path, error)
        }
        val found = sha256Of(bytes)
        if (sha256 != null && found != sha256) {
            throw ModelFileError(
                "the model file $path is not the one that was built",
                "sha256 ${found.take(SHOWN)}, ${bytes.capacity()} bytes; " +
                    "its binding says ${sha256.take(SHOWN)}",
                "copy model and binding from one bundle; Git LFS pointers and truncated copies " +
                    "look like this",
            )
        }
        return ModelFile(bytes, found, file(path))
    }

    private fun missing(path: String, cause: IOException) = ModelFileError(
        if (cause is FileNotFoundException) {
            "a file of the model is missing"
        } else {
            "a file of the model cannot be read"
        },
        "$path: ${cause.message}",
        "copy the whole bundle",
        cause,
    )

    public companion object {
        private const val SHOWN = 12
        private const val ARTIFACTS = "artifacts"
        private const val BINDING = ".binding.json"

        /** The folder [root] of the app's assets, `phoneproof` unless the app says otherwise. */
        @JvmStatic
        @JvmOverloads
        public fun assets(assets: AssetManager, root: String = "phoneproof"): ModelFolder =
            AssetFolder(assets, root)

        /** A folder on disk. */
        @JvmStatic
        public fun disk(root: File): ModelFolder = DiskFolder(root)
    }
}

private class DiskFolder(private val root: File) : ModelFolder() {
    override fun open(path: String): InputStream = FileInputStream(File(root, path))

    override fun names(path: String): List<String> = File(root, path).list().orEmpty().toList()

    override fun map(path: String): ByteBuffer = FileInputStream(File(root, path)).channel.use {
        mapped(it, 0, it.size())
    }

    override fun file(path: String): File = File(root, path)
}

private class AssetFolder(private val assets: AssetManager, private val root: String) :
    ModelFolder() {
    override fun open(path: String): InputStream = assets.open("$root/$path")

    override fun names(path: String): List<String> = assets.list("$root/$path").orEmpty().toList()

    /** Stored without compression (`noCompress "tflite"`) it is mapped, otherwise read. */
    override fun map(path: String): ByteBuffer {
        val stored = try {
            assets.openFd("$root/$path")
        } catch (_: IOException) {
            return copied(path)
        }
        return stored.use { entry ->
            FileInputStream(entry.fileDescriptor).channel.use {
                mapped(it, entry.startOffset, entry.declaredLength)
            }
        }
    }

    override fun file(path: String): File? = null

    private fun copied(path: String): ByteBuffer {
        val bytes = open(path).use { it.readBytes() }
        val direct = ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.nativeOrder())
        direct.put(bytes)
        direct.clear()
        return direct
    }
}

private fun mapped(channel: FileChannel, start: Long, length: Long): ByteBuffer {
    if (length > Int.MAX_VALUE) throw IOException("$length bytes are more than can be mapped")
    return channel.map(FileChannel.MapMode.READ_ONLY, start, length).order(ByteOrder.nativeOrder())
}

/** Lower-case hexadecimal, of the bytes from 0 to the limit. */
internal fun sha256Of(bytes: ByteBuffer): String {
    val digest = MessageDigest.getInstance("SHA-256")
    digest.update(bytes.duplicate().apply { rewind() })
    return hex(digest.digest())
}

internal fun sha256Of(bytes: ByteArray): String =
    hex(MessageDigest.getInstance("SHA-256").digest(bytes))

private fun hex(digest: ByteArray): String {
    val text = StringBuilder(digest.size * 2)
    for (byte in digest) {
        text.append(Character.forDigit(byte.toInt() shr 4 and 0xf, 16))
        text.append(Character.forDigit(byte.toInt() and 0xf, 16))
    }
    return text.toString()
}
