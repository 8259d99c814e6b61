package ai.phoneproof.image

import ai.phoneproof.ImageError
import ai.phoneproof.contract.ColorProfile
import ai.phoneproof.pixels.ArgbPicture
import android.graphics.Bitmap
import android.graphics.ColorSpace
import android.os.Build
import java.nio.IntBuffer

/** Takes the pixels out of bitmaps, into one array that is used again. Not for several threads. */
internal class BitmapReader(private val profile: ColorProfile) {
    private var pixels = IntArray(0)
    private var picture: ArgbPicture? = null

    /**
     * The pixels of [bitmap], which is left as it was. The result holds until the next call.
     *
     * @throws ImageError a bitmap that is null, recycled, in graphics memory, of another
     *   configuration than ARGB_8888, or too large.
     */
    fun read(bitmap: Bitmap?): ArgbPicture {
        val readable = requireReadable(bitmap)
        val target = target(readable.height, readable.width)
        val space =
            if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.O) readable.colorSpace else null
        val isManaged = space != null && !space.isSrgb
        when {
            !isManaged || profile == ColorProfile.SRGB -> copy(readable, target)

            Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q -> {
                copyAsStored(readable, checkNotNull(space), target)
            }

            else -> copyRaw(readable, target)
        }
        return target
    }

    /** The array lives as long as the largest picture does not change. */
    private fun target(height: Int, width: Int): ArgbPicture {
        val last = picture
        if (last != null && last.height == height && last.width == width) return last
        requireFewPixels(height, width)
        if (pixels.size < height * width) pixels = IntArray(height * width)
        return ArgbPicture(pixels, height, width).also { picture = it }
    }

    private fun copy(bitmap: Bitmap, target: ArgbPicture) =
        bitmap.getPixels(target.values, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)

    /** `getPixels` converts to sRGB, so for its length the bitmap says that it is sRGB already. */
    private fun copyAsStored(bitmap: Bitmap, space: ColorSpace, target: ArgbPicture) {
        bitmap.setColorSpace(ColorSpace.get(ColorSpace.Named.SRGB))
        try {
            copy(bitmap, target)
        } finally {
            bitmap.setColorSpace(space)
        }
    }

    /** Android 8 and 9 cannot rename a colour space, but give the bytes as they lie: R, G, B, A. */
    private fun copyRaw(bitmap: Bitmap, target: ArgbPicture) {
        bitmap.copyPixelsToBuffer(IntBuffer.wrap(target.values))
        for (i in 0 until bitmap.width * bitmap.height) {
            val abgr = target.values[i]
            val swapped = (abgr and 0xff shl 16) or (abgr shr 16 and 0xff)
            target.values[i] = (abgr and 0xff00ff00.toInt()) or swapped
        }
    }
}

internal fun requireReadable(bitmap: Bitmap?): Bitmap {
    val found =
        bitmap
            ?: throw ImageError("there is no bitmap", "null", "check that the picture was decoded")
    if (found.isRecycled) {
        throw ImageError(
            "the bitmap was recycled",
            nextStep = "recycle a bitmap after its results came",
        )
    }
    requireConfig(found.config)
    return found
}

/** Only ARGB_8888 holds what a decoder gave, where it can be read. */
internal fun requireConfig(config: Bitmap.Config?) {
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.O && config == Bitmap.Config.HARDWARE) {
        throw ImageError(
            "the bitmap lies in graphics memory",
            "Bitmap.Config.HARDWARE",
            "decode with ALLOCATOR_SOFTWARE, or pass bitmap.copy(Bitmap.Config.ARGB_8888, false)",
        )
    }
    if (config != Bitmap.Config.ARGB_8888) {
        throw ImageError(
            "the bitmap does not hold 8 bits a channel",
            "Bitmap.Config.$config",
            "decode with inPreferredConfig = Bitmap.Config.ARGB_8888",
        )
    }
}
