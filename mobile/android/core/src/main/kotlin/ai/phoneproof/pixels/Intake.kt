package ai.phoneproof.pixels

import ai.phoneproof.contract.GrayFormula
import ai.phoneproof.contract.ImageInput
import ai.phoneproof.pixels.filters.ByteRaster

/**
 * The first stage: any [Picture] as upright uint8 rows of RGB, or of gray. RGB that needs nothing
 * is looked at where it lies; everything else is converted row by row into scratch that is reused.
 */
internal class Intake(private val input: ImageInput) {
    private val channels = input.channelCount
    private var stored = ByteArray(0)
    private var turned = ByteArray(0)
    private val yuv = YuvRows()
    private var rgbRow = ByteArray(0)

    /**
     * Points [upright] at the pixels of [picture].
     *
     * @param upright has the turned size; its array, offset and stride are set.
     * @param needed which of its rows must be there.
     */
    fun read(
        picture: Picture,
        orientation: Orientation,
        needed: BooleanArray,
        upright: ByteRaster,
        asStored: ByteRaster,
    ) {
        val turns = orientation != Orientation.UPRIGHT
        val target = if (turns) asStored else upright
        if (picture is RgbPicture && input.gray == null) {
            target.values = picture.values
            target.offset = picture.offset
            target.stride = picture.rowStride
        } else {
            convert(picture, if (turns) null else needed, target)
        }
        if (turns) {
            turned = grown(turned, upright)
            upright.values = turned
            turn(asStored, upright, orientation)
        }
    }

    private fun convert(picture: Picture, needed: BooleanArray?, target: ByteRaster) {
        stored = grown(stored, target)
        target.values = stored
        target.offset = 0
        target.stride = target.width * channels
        val gray = input.gray
        if (gray != null && rgbRow.size < picture.width * 3) rgbRow = ByteArray(picture.width * 3)
        for (y in 0 until picture.height) {
            if (needed != null && !needed[y]) continue
            if (gray == null) {
                rgb(picture, y, stored, target.row(y))
            } else if (picture is RgbPicture) {
                val from = picture.offset + y * picture.rowStride
                grayRow(gray, picture.values, from, stored, target.row(y), picture.width)
            } else {
                rgb(picture, y, rgbRow, 0)
                grayRow(gray, rgbRow, 0, stored, target.row(y), picture.width)
            }
        }
    }

    /** One row as RGB. */
    private fun rgb(picture: Picture, y: Int, out: ByteArray, to: Int) {
        when (picture) {
            is ArgbPicture -> {
                val from = picture.offset + y * picture.rowStride
                if (input.background == null) {
                    dropAlpha(picture.values, from, picture.width, out, to)
                } else {
                    composite(picture.values, from, picture.width, input.background, out, to)
                }
            }

            is YuvPicture -> yuv.read(picture, y, out, to)

            is RgbPicture -> {
                val from = picture.offset + y * picture.rowStride
                System.arraycopy(picture.values, from, out, to, picture.width * 3)
            }
        }
    }

    private fun grown(scratch: ByteArray, raster: ByteRaster): ByteArray {
        val size = raster.height * raster.width * channels
        return if (scratch.size < size) ByteArray(size) else scratch
    }
}

private fun grayRow(
    formula: GrayFormula,
    values: ByteArray,
    from: Int,
    out: ByteArray,
    to: Int,
    width: Int,
) {
    var at = from
    for (x in to until to + width) {
        val red = values[at].toInt() and 255
        val green = values[at + 1].toInt() and 255
        val blue = values[at + 2].toInt() and 255
        out[x] = gray(formula, red, green, blue).toByte()
        at += 3
    }
}

/** One grey value by the named library (`phoneproof/pixels/filters/gray.py`). */
internal fun gray(formula: GrayFormula, red: Int, green: Int, blue: Int): Int = when (formula) {
    GrayFormula.PILLOW -> (red * 19_595 + green * 38_470 + blue * 7_471 + 32_768) shr 16

    GrayFormula.OPENCV -> (red * 9_798 + green * 19_235 + blue * 3_735 + 16_384) shr 15

    GrayFormula.TENSORFLOW -> {
        val unit = 1f / 255f
        val sum = red * unit * 0.2989f + green * unit * 0.5870f + blue * unit * 0.1140f
        (sum * 255.5f).toInt()
    }
}
