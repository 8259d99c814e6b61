package ai.phoneproof.selftest

import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.nio.ByteBuffer

/**
 * Writes the tensor an app feeds its model as `phoneproof pixels IMAGE --against DUMP` reads it:
 * the values alone, little-endian, without a header.
 */
public object PixelDump {
    /**
     * Writes [tensor] from its first to its last byte; its position is left alone.
     *
     * @throws IOException nothing was written; an older [file] is left as it was.
     */
    @JvmStatic
    @Throws(IOException::class)
    public fun write(tensor: ByteBuffer, file: File) {
        val bytes = tensor.duplicate().apply { clear() }
        writeWhole(file) { while (bytes.hasRemaining()) it.channel.write(bytes) }
    }
}

/** Writes beside [file] and puts it in place when it is whole. */
internal fun writeWhole(file: File, write: (FileOutputStream) -> Unit) {
    val part = File(file.path + ".part")
    try {
        FileOutputStream(part).use(write)
        if (!part.renameTo(file)) throw IOException("cannot write $file")
    } finally {
        part.delete()
    }
}
