package ai.phoneproof.image

import ai.phoneproof.ImageError
import ai.phoneproof.pixels.YuvPicture
import android.graphics.ImageFormat
import android.media.Image

/**
 * The planes of a camera frame, nothing copied: the frame must stay open until its results came.
 * Colours are BT.601, full range, as cameras write JPEG.
 *
 * @param last what the last frame gave; used again where this one is laid out like it.
 * @throws ImageError a closed frame, or another format than YUV_420_888.
 */
internal fun cameraPicture(frame: Image?, last: YuvPicture? = null): YuvPicture {
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
        return pictureOf(found, last)
    } catch (error: IllegalStateException) {
        throw ImageError(
            "the camera frame was closed",
            error.message,
            "close a frame after its results came",
            error,
        )
    }
}

private fun pictureOf(frame: Image, last: YuvPicture?): YuvPicture {
    val (y, u, v) = frame.planes
    if (u.rowStride != v.rowStride || u.pixelStride != v.pixelStride) {
        throw ImageError(
            "the chroma planes of the camera frame differ",
            "row strides ${u.rowStride} and ${v.rowStride}, " +
                "pixel strides ${u.pixelStride} and ${v.pixelStride}",
            "pass a frame of ImageFormat.YUV_420_888, whose chroma planes are alike",
        )
    }
    val isAlike =
        last != null &&
            last.height == frame.height &&
            last.width == frame.width &&
            last.yRowStride == y.rowStride &&
            last.chromaRowStride == u.rowStride &&
            last.chromaPixelStride == u.pixelStride
    if (last != null && isAlike) return last.apply { pointTo(y.buffer, u.buffer, v.buffer) }
    return YuvPicture(
        y.buffer,
        u.buffer,
        v.buffer,
        frame.height,
        frame.width,
        y.rowStride,
        u.rowStride,
        u.pixelStride,
    )
}
