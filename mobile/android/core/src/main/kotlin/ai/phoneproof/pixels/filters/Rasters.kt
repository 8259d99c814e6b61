package ai.phoneproof.pixels.filters

/**
 * A window on uint8 pixels [height, width, channels], channels side by side. The array may change
 * from frame to frame; the shape does not.
 *
 * @property offset index of the first value.
 * @property stride values from one row to the next.
 */
internal class ByteRaster(
    val height: Int,
    val width: Int,
    val channels: Int,
    var values: ByteArray = ByteArray(0),
    var offset: Int = 0,
    var stride: Int = width * channels,
) {
    fun row(y: Int): Int = offset + y * stride

    /** A part of this raster; it follows no later change of [values]. */
    fun window(top: Int, left: Int, height: Int, width: Int): ByteRaster =
        ByteRaster(height, width, channels, values, row(top) + left * channels, stride)

    companion object {
        fun filled(height: Int, width: Int, channels: Int): ByteRaster =
            ByteRaster(height, width, channels, ByteArray(height * width * channels))
    }
}

/** Float32 pixels [height, width, channels], without gaps. */
internal class FloatRaster(val height: Int, val width: Int, val channels: Int) {
    val values = FloatArray(height * width * channels)
}

/** A resize between two sizes that are fixed when it is made; holds scratch, so one thread. */
internal interface ByteResizer {
    /** For each source row whether it is looked at. */
    val neededRows: BooleanArray

    /** Fills [target] from [source]. */
    fun resize(source: ByteRaster, target: ByteRaster)
}

/** The same for filters whose result is float32. */
internal interface FloatResizer {
    val neededRows: BooleanArray

    fun resize(source: ByteRaster, target: FloatRaster)
}

/** All of [count] rows. */
internal fun allRows(count: Int): BooleanArray = BooleanArray(count) { true }
