package ai.phoneproof.image

import ai.phoneproof.ImageError
import ai.phoneproof.contract.OrientationRule
import ai.phoneproof.pixels.Orientation
import android.content.Context
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.media.ExifInterface
import android.net.Uri
import java.io.ByteArrayInputStream
import java.io.Closeable
import java.io.File
import java.io.IOException
import java.io.InputStream

/**
 * A decoded picture file.
 *
 * @property bitmap as stored; recycled by [close].
 * @property orientation how it must be turned to be upright.
 */
public class DecodedPicture internal constructor(
    public val bitmap: Bitmap,
    public val orientation: Orientation,
) : Closeable {
    override fun close(): Unit = bitmap.recycle()
}

/**
 * Decodes picture files as the contract wants them: every pixel as stored (no premultiplied alpha,
 * no scaling for the screen), with the orientation tag read apart.
 *
 * @param rule whether the orientation tag counts.
 */
public class PictureDecoder(private val rule: OrientationRule) {
    /** @throws ImageError the file is missing, or as [decode]. */
    @Throws(ImageError::class)
    public fun decode(file: File): DecodedPicture = decode(file.name) { file.inputStream() }

    /** @throws ImageError nothing can be read from [uri], or as [decode]. */
    @Throws(ImageError::class)
    public fun decode(context: Context, uri: Uri): DecodedPicture =
        decode(uri.toString()) { context.contentResolver.openInputStream(uri) }

    /**
     * Decodes the bytes of a picture file.
     *
     * @throws ImageError no picture that Android can decode, one that ends early, or one of more
     *   pixels than the library takes.
     */
    @Throws(ImageError::class)
    public fun decode(bytes: ByteArray): DecodedPicture {
        requireWhole(bytes)
        val bounds = BitmapFactory.Options().apply { inJustDecodeBounds = true }
        BitmapFactory.decodeByteArray(bytes, 0, bytes.size, bounds)
        requireSize(bounds.outHeight, bounds.outWidth)
        val options = BitmapFactory.Options().apply {
            inPreferredConfig = Bitmap.Config.ARGB_8888
            inPremultiplied = false
            inScaled = false
        }
        val decoded = inMemory { BitmapFactory.decodeByteArray(bytes, 0, bytes.size, options) }
        val bitmap = decoded ?: throw noPicture()
        return DecodedPicture(bitmap, orientation(bytes))
    }

    private fun decode(name: String, open: () -> InputStream?): DecodedPicture {
        val bytes = try {
            open()?.use { it.readBytes() }
        } catch (error: IOException) {
            throw unreadable(name, error)
        } catch (error: SecurityException) {
            throw unreadable(name, error)
        }
        return decode(bytes ?: throw unreadable(name, null))
    }

    private fun orientation(bytes: ByteArray): Orientation {
        if (rule == OrientationRule.IGNORE) return Orientation.UPRIGHT
        return try {
            val exif = ExifInterface(ByteArrayInputStream(bytes))
            Orientation.ofExif(exif.getAttributeInt(ExifInterface.TAG_ORIENTATION, 1))
        } catch (_: IOException) {
            // A file without a tag that can be read is upright, as every viewer shows it.
            Orientation.UPRIGHT
        }
    }

    private fun requireWhole(bytes: ByteArray) {
        if (!endsEarly(bytes)) return
        throw ImageError(
            "the picture file ends early",
            "${bytes.size} bytes of a JPEG without its end",
            "load the file again; Android would show the missing part grey",
        )
    }

    private fun requireSize(height: Int, width: Int) {
        if (height < 1 || width < 1) throw noPicture()
        requireFewPixels(height, width)
    }

    private fun noPicture() = ImageError(
        "the picture cannot be decoded",
        "no picture of a type that Android knows",
        "pass a whole JPEG, PNG or WebP file",
    )

    private fun unreadable(name: String, cause: Exception?) = ImageError(
        "the picture cannot be read",
        "$name: ${cause?.message ?: "nothing behind it"}",
        "check that it is there and that the app may read it",
        cause,
    )
}

/** As the Python reference, which takes Pillow's limit. */
private const val MAX_PIXELS = 89_478_485L

/** @throws ImageError more pixels than the library takes. */
internal fun requireFewPixels(height: Int, width: Int) {
    if (height.toLong() * width <= MAX_PIXELS) return
    throw ImageError(
        "the picture is too large",
        "$width x $height pixels",
        "at most $MAX_PIXELS pixels are taken; pass a smaller copy",
    )
}

/** @throws ImageError the memory of the app does not hold what [work] makes. */
internal inline fun <T> inMemory(work: () -> T): T = try {
    work()
} catch (error: OutOfMemoryError) {
    throw ImageError(
        "the picture does not fit into the app's memory",
        error.message,
        "pass a smaller copy, or ask for a large heap in the app's manifest",
        error,
    )
}
