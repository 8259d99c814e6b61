package ai.phoneproof

import android.graphics.ImageFormat
import android.graphics.Rect
import android.media.Image
import java.nio.ByteBuffer

/**
 * A camera frame of [width] x [height] as cameras give it: rows are padded, the two chroma planes
 * lie in one buffer, and the last row of a plane has no padding. [value]: of each byte by its place
 * in rows without padding, so that frames of other strides are the same picture.
 */
internal class CameraFrame(
    private val width: Int,
    private val height: Int,
    private val rowStride: Int,
    value: (Int) -> Int,
) : Image() {
    private val parts: Array<Plane>

    init {
        require(width % 2 == 0 && height % 2 == 0 && rowStride >= width)
        val luma = filled(height, value)
        val chroma = filled(height / 2, value)
        val second = chroma.apply { position(1) }.slice()
        chroma.position(0).limit(chroma.capacity() - 1)
        parts = arrayOf(Part(luma, 1), Part(chroma.slice(), 2), Part(second, 2))
    }

    private fun filled(rows: Int, value: (Int) -> Int): ByteBuffer =
        ByteBuffer.allocateDirect(rowStride * (rows - 1) + width).also {
            for (at in 0 until it.capacity()) {
                val column = at % rowStride
                val byte = if (column < width) value(at / rowStride * width + column) else PADDING
                it.put(at, byte.toByte())
            }
        }

    override fun getFormat() = ImageFormat.YUV_420_888

    override fun getWidth() = width

    override fun getHeight() = height

    override fun getTimestamp() = 0L

    override fun getTransform() = 0

    override fun getScalingMode() = 0

    override fun getPlanes(): Array<Plane> = parts

    override fun getCropRect() = Rect(0, 0, width, height)

    override fun close() = Unit

    private inner class Part(private val bytes: ByteBuffer, private val pixel: Int) : Plane() {
        override fun getRowStride() = this@CameraFrame.rowStride

        override fun getPixelStride() = pixel

        override fun getBuffer(): ByteBuffer = bytes
    }

    private companion object {
        /** Nothing may look at it. */
        const val PADDING = 0xaa
    }
}
