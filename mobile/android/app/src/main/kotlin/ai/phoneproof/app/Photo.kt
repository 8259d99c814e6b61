package ai.phoneproof.app

import ai.phoneproof.contract.OrientationRule
import android.content.Context
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Matrix
import android.media.ExifInterface
import android.net.Uri
import java.io.FileNotFoundException
import java.io.IOException
import java.io.InputStream

/**
 * A photo for the screen, turned as the model sees it. The model itself is given the file.
 *
 * @property bitmap upright, no larger than the screen needs.
 * @property width of the upright original, in whose pixels boxes are; [height] likewise.
 */
class Photo private constructor(val bitmap: Bitmap, val width: Int, val height: Int) {
    companion object {
        private const val LONGEST = 2048

        /** @throws IOException there is no picture behind [uri]. */
        fun load(context: Context, uri: Uri, rule: OrientationRule): Photo {
            val bounds = BitmapFactory.Options().apply { inJustDecodeBounds = true }
            context.open(uri) { BitmapFactory.decodeStream(it, null, bounds) }
            val options = BitmapFactory.Options()
            options.inSampleSize = reduction(maxOf(bounds.outWidth, bounds.outHeight))
            val stored =
                context.open(uri) { BitmapFactory.decodeStream(it, null, options) }
                    ?: throw IOException("no picture: $uri")
            val tag = if (rule == OrientationRule.EXIF) {
                context.open(uri) { orientation(it) }
            } else {
                ExifInterface.ORIENTATION_NORMAL
            }
            val matrix = upright(tag)
            val turned =
                Bitmap.createBitmap(stored, 0, 0, stored.width, stored.height, matrix, true)
            return if (tag in
                ExifInterface.ORIENTATION_TRANSPOSE..ExifInterface.ORIENTATION_ROTATE_270
            ) {
                Photo(turned, bounds.outHeight, bounds.outWidth)
            } else {
                Photo(turned, bounds.outWidth, bounds.outHeight)
            }
        }

        private fun <T> Context.open(uri: Uri, read: (InputStream) -> T): T {
            val stream = contentResolver.openInputStream(uri)
            return (stream ?: throw FileNotFoundException("$uri")).use(read)
        }

        private fun orientation(file: InputStream): Int = try {
            ExifInterface(file).getAttributeInt(ExifInterface.TAG_ORIENTATION, 1)
        } catch (_: IOException) {
            ExifInterface.ORIENTATION_NORMAL
        }

        private fun reduction(longest: Int): Int {
            var by = 1
            while (longest / by > LONGEST) by *= 2
            return by
        }

        private fun upright(tag: Int) = Matrix().apply {
            when (tag) {
                ExifInterface.ORIENTATION_FLIP_HORIZONTAL -> setScale(-1f, 1f)
                ExifInterface.ORIENTATION_ROTATE_180 -> setRotate(180f)
                ExifInterface.ORIENTATION_FLIP_VERTICAL -> setScale(1f, -1f)
                ExifInterface.ORIENTATION_TRANSPOSE -> mirrored(90f)
                ExifInterface.ORIENTATION_ROTATE_90 -> setRotate(90f)
                ExifInterface.ORIENTATION_TRANSVERSE -> mirrored(270f)
                ExifInterface.ORIENTATION_ROTATE_270 -> setRotate(270f)
            }
        }

        private fun Matrix.mirrored(degrees: Float) {
            setRotate(degrees)
            postScale(-1f, 1f)
        }
    }
}
