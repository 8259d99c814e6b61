package ai.phoneproof.pixels

import ai.phoneproof.pixels.filters.ByteRaster

/**
 * How stored pixels must be turned to be upright; the names say what is done, [exif] is the value
 * of the EXIF tag. A camera's sensor rotation of 90, 180, 270 degrees is [ROTATE_90] and so on
 * (clockwise).
 */
public enum class Orientation(public val exif: Int) {
    UPRIGHT(1),
    MIRROR(2),
    ROTATE_180(3),
    FLIP(4),
    TRANSPOSE(5),
    ROTATE_90(6),
    TRANSVERSE(7),
    ROTATE_270(8),
    ;

    /** Whether height and width change places. */
    public val swapsSides: Boolean get() = exif >= 5

    public companion object {
        /** The orientation of an EXIF tag; upright where the value is none of 1..8. */
        @JvmStatic
        public fun ofExif(value: Int): Orientation =
            entries.firstOrNull { it.exif == value } ?: UPRIGHT

        /** What turns by [degrees] clockwise; upright for other than 90, 180, 270. */
        @JvmStatic
        public fun ofRotation(degrees: Int): Orientation = when (Math.floorMod(degrees, 360)) {
            90 -> ROTATE_90
            180 -> ROTATE_180
            270 -> ROTATE_270
            else -> UPRIGHT
        }
    }
}

/** Copies [source] into [target], turned; target has the turned size. */
internal fun turn(source: ByteRaster, target: ByteRaster, orientation: Orientation) {
    val channels = source.channels
    val bottom = source.height - 1
    val right = source.width - 1
    // Target (y, x) is source (y, x) or (x, y), either counted from the other end.
    val fromBottom = orientation.exif in FROM_BOTTOM
    val fromRight = orientation.exif in FROM_RIGHT
    val down = if (fromBottom) -source.stride else source.stride
    val across = if (fromRight) -channels else channels
    val start = source.row(if (fromBottom) bottom else 0) + if (fromRight) right * channels else 0
    val stepY = if (orientation.swapsSides) across else down
    val stepX = if (orientation.swapsSides) down else across
    for (y in 0 until target.height) {
        turnRow(source.values, start + y * stepY, stepX, target, y)
    }
}

private val FROM_BOTTOM = intArrayOf(3, 4, 6, 7)
private val FROM_RIGHT = intArrayOf(2, 3, 7, 8)

private fun turnRow(values: ByteArray, from: Int, step: Int, target: ByteRaster, y: Int) {
    var at = from
    var to = target.row(y)
    val out = target.values
    repeat(target.width) {
        out[to] = values[at]
        if (target.channels == 3) {
            out[to + 1] = values[at + 1]
            out[to + 2] = values[at + 2]
        }
        to += target.channels
        at += step
    }
}
