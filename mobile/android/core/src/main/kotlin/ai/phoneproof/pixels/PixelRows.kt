package ai.phoneproof.pixels

import ai.phoneproof.contract.Rgb
import java.nio.Buffer
import java.nio.ByteBuffer

/** One row of ARGB ints as RGB bytes, transparency ignored. */
internal fun dropAlpha(values: IntArray, from: Int, width: Int, out: ByteArray, to: Int) {
    var at = to
    for (x in from until from + width) {
        val pixel = values[x]
        out[at] = (pixel shr 16).toByte()
        out[at + 1] = (pixel shr 8).toByte()
        out[at + 2] = pixel.toByte()
        at += 3
    }
}

/** One row on a background: `(color * a + background * (255 - a) + 127) / 255`. */
internal fun composite(
    values: IntArray,
    from: Int,
    width: Int,
    background: Rgb,
    out: ByteArray,
    to: Int,
) {
    var at = to
    for (x in from until from + width) {
        val pixel = values[x]
        val alpha = pixel ushr 24
        out[at] = mixed((pixel shr 16) and 255, background.red, alpha)
        out[at + 1] = mixed((pixel shr 8) and 255, background.green, alpha)
        out[at + 2] = mixed(pixel and 255, background.blue, alpha)
        at += 3
    }
}

private fun mixed(color: Int, behind: Int, alpha: Int): Byte =
    ((color * alpha + behind * (255 - alpha) + 127) / 255).toByte()

/**
 * Rows of a camera frame as RGB: BT.601, full range, nearest chroma, constants times 2^16
 * (`phoneproof/pixels/yuv.py`).
 */
internal class YuvRows {
    private var luma = ByteArray(0)
    private var blueChroma = ByteArray(0)
    private var redChroma = ByteArray(0)

    fun read(picture: YuvPicture, row: Int, out: ByteArray, to: Int) {
        val width = picture.width
        val chroma = picture.chromaLength
        if (luma.size < width) luma = ByteArray(width)
        if (blueChroma.size < chroma) {
            blueChroma = ByteArray(chroma)
            redChroma = ByteArray(chroma)
        }
        copy(picture.y, row * picture.yRowStride, luma, width)
        copy(picture.u, row / 2 * picture.chromaRowStride, blueChroma, chroma)
        copy(picture.v, row / 2 * picture.chromaRowStride, redChroma, chroma)
        convert(width, picture.chromaPixelStride, out, to)
    }

    private fun convert(width: Int, step: Int, out: ByteArray, to: Int) {
        var at = to
        for (x in 0 until width) {
            val brightness = luma[x].toInt() and 255
            val blue = (blueChroma[(x shr 1) * step].toInt() and 255) - GREY
            val red = (redChroma[(x shr 1) * step].toInt() and 255) - GREY
            out[at] = clamped(brightness + ((RED_V * red + HALF) shr SHIFT))
            out[at + 1] = clamped(brightness + ((-GREEN_U * blue - GREEN_V * red + HALF) shr SHIFT))
            out[at + 2] = clamped(brightness + ((BLUE_U * blue + HALF) shr SHIFT))
            at += 3
        }
    }

    /** One block, because a get per byte is slow on direct buffers; the position is put back. */
    private fun copy(plane: ByteBuffer, from: Int, row: ByteArray, length: Int) {
        // Buffer's own position(): ByteBuffer's came with Java 9 and is missing on old Androids.
        val buffer = plane as Buffer
        val before = buffer.position()
        buffer.position(from)
        plane.get(row, 0, length)
        buffer.position(before)
    }

    private fun clamped(value: Int): Byte = (
        if (value < 0) {
            0
        } else if (value > 255) {
            255
        } else {
            value
        }
        ).toByte()

    private companion object {
        const val RED_V = 91_881
        const val GREEN_U = 22_553
        const val GREEN_V = 46_802
        const val BLUE_U = 116_130
        const val SHIFT = 16
        const val HALF = 1 shl (SHIFT - 1)
        const val GREY = 128
    }
}
