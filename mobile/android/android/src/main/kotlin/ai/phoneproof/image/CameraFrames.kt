package ai.phoneproof.image

import ai.phoneproof.ImageError
import ai.phoneproof.pixels.YuvPicture
import android.graphics.ImageFormat
import android.media.Image

/**
 * The planes of a camera frame, nothing copied: the frame must stay open until its results came.
 * Colours are BT.601, full range, as cameras write JPEG.
 *
 * @throws ImageError a closed frame, or another format than YUV_420_888.
 */
internal fun cameraPicture(frame: Image?): YuvPicture {
    val found =
        frame ?: throw ImageError("there is no camera frame", "null", "acquire an image first")
    try {
        if (found.format != ImageFormat.YUV_420_888) {
            throw ImageError(
                "the camera frame has another format",
                "ImageFormat ${found.format}",
                "make the ImageReader with ImageFormat.YUV_420_888",
            )
        }
        val (y, u, v) = found.planes
        if (u.rowStride != v.rowStride || u.pixelStride != v.pixelStride) {
            throw ImageError(
                "the chroma planes of the camera frame differ",
                "row strides ${u.rowStride} and ${v.rowStride}, pixel strides ${u.pixelStride} and ${v.pixelStride}",
                "pass a frame of ImageFormat.YUV_420_888, whose chroma planes are alike",
            )
        }
        return YuvPicture(
            y.buffer,
            u.buffer,
            v.buffer,
            found.height,
            found.width,
            y.rowStride,
            u.rowStride,
            u.pixelStride,
        )
    } catch (error: IllegalStateException) {
        throw ImageError(
            "the camera frame was closed",
            error.message,
            "close a frame after its results came",
            error,
        )
    }
}
