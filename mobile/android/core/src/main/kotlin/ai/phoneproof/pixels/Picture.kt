package ai.phoneproof.pixels

import ai.phoneproof.ImageError
import java.nio.ByteBuffer

/** Largest picture that is taken (width * height), as in the Python reference. */
internal const val MAX_PIXELS: Int = 89_478_485

/**
 * Pixels as they come from a decoder or a camera, before orientation. Holds references, copies
 * nothing: one instance may be used for every frame whose buffers stay the same.
 *
 * @property height in pixels, as stored.
 * @property width in pixels, as stored.
 */
public sealed class Picture(public val height: Int, public val width: Int) {
    init {
        if (height < 1 || width < 1) {
            throw ImageError(
                "a picture must have at least one pixel",
                "$height x $width (height x width)",
                "check that the picture was decoded",
            )
        }
        if (height.toLong() * width > MAX_PIXELS) {
            throw ImageError(
                "the picture is too large",
                "$height x $width (height x width)",
                "at most $MAX_PIXELS pixels are taken; decode it at a smaller scale",
            )
        }
    }
}

/**
 * Red, green, blue, one byte each.
 *
 * @param offset index of the first red.
 * @param rowStride bytes from one row to the next.
 * @throws ImageError the array is shorter than that.
 */
public class RgbPicture @JvmOverloads constructor(
    public val values: ByteArray,
    height: Int,
    width: Int,
    public val offset: Int = 0,
    public val rowStride: Int = width * 3,
) : Picture(height, width) {
    init {
        requireLayout(height, width * 3, offset, rowStride, values.size, "RGB pixels")
    }
}

/**
 * One ARGB int a pixel, not premultiplied: what `Bitmap.getPixels` gives.
 *
 * @param offset index of the first pixel.
 * @param rowStride ints from one row to the next.
 * @throws ImageError the array is shorter than that.
 */
public class ArgbPicture @JvmOverloads constructor(
    public val values: IntArray,
    height: Int,
    width: Int,
    public val offset: Int = 0,
    public val rowStride: Int = width,
) : Picture(height, width) {
    init {
        requireLayout(height, width, offset, rowStride, values.size, "ARGB pixels")
    }
}

/**
 * YUV 4:2:0 in three planes, as a camera gives them; BT.601, full range. Chroma planes have
 * `(height + 1) / 2` rows of `(width + 1) / 2` samples, the nearest of which a pixel takes.
 *
 * Planes are read from index 0 whatever their position, which is left as it was.
 *
 * @param yRowStride bytes from one row of luma to the next.
 * @param chromaRowStride bytes from one row of chroma to the next.
 * @param chromaPixelStride bytes from one sample of chroma to the next: 1 planar, 2 interleaved.
 * @throws ImageError a plane is shorter than that.
 */
public class YuvPicture(
    y: ByteBuffer,
    u: ByteBuffer,
    v: ByteBuffer,
    height: Int,
    width: Int,
    public val yRowStride: Int,
    public val chromaRowStride: Int,
    public val chromaPixelStride: Int,
) : Picture(height, width) {
    public var y: ByteBuffer = y
        private set
    public var u: ByteBuffer = u
        private set
    public var v: ByteBuffer = v
        private set

    /** Bytes from the first sample of a row of chroma to the last. */
    internal val chromaLength: Int get() = ((width + 1) / 2 - 1) * chromaPixelStride + 1

    init {
        requirePlanes(y, u, v)
    }

    /**
     * From now on this is the next frame, of the same size and strides: a camera needs one picture.
     *
     * @throws ImageError a plane is shorter than that; the picture stays as it was.
     */
    public fun pointTo(y: ByteBuffer, u: ByteBuffer, v: ByteBuffer) {
        requirePlanes(y, u, v)
        this.y = y
        this.u = u
        this.v = v
    }

    private fun requirePlanes(y: ByteBuffer, u: ByteBuffer, v: ByteBuffer) {
        val chromaRows = (height + 1) / 2
        requireLayout(height, width, 0, yRowStride, y.limit(), "the Y plane")
        // A stride within the plane also keeps `chromaLength` within whole numbers of 32 bits.
        val last = ((width + 1) / 2 - 1).toLong() * chromaPixelStride
        if (chromaPixelStride < 1 || last >= u.limit()) {
            throw wrongLayout("the chroma planes", "pixel stride $chromaPixelStride")
        }
        val planes = "the chroma planes"
        requireLayout(chromaRows, chromaLength, 0, chromaRowStride, u.limit(), planes)
        requireLayout(chromaRows, chromaLength, 0, chromaRowStride, v.limit(), planes)
    }
}

private fun requireLayout(
    rows: Int,
    rowLength: Int,
    offset: Int,
    stride: Int,
    size: Int,
    what: String,
) {
    val last = offset.toLong() + (rows - 1).toLong() * stride + rowLength
    if (offset < 0 || stride < rowLength || last > size) {
        val found = "$size values for $rows rows of $rowLength, stride $stride, offset $offset"
        throw wrongLayout(what, found)
    }
}

private fun wrongLayout(what: String, found: String): ImageError = ImageError(
    "$what do not fill the picture",
    found,
    "pass height, width and strides of the same buffer",
)
