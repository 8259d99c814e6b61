package ai.phoneproof.contract

/** Height and width in pixels. */
public data class Size(val height: Int, val width: Int)

/** Red, green, blue in 0..255. */
public data class Rgb(val red: Int, val green: Int, val blue: Int)

/** Whether a file's orientation tag counts. */
public enum class OrientationRule { EXIF, IGNORE }

/** Pixels as the file stores them, or converted to sRGB by its colour profile. */
public enum class ColorProfile { AS_STORED, SRGB }

/** What the model is fed, in this order. */
public enum class Channels { RGB, BGR, GRAY }

/** Whose weights of red, green and blue make grey. */
public enum class GrayFormula { PILLOW, OPENCV, TENSORFLOW }

/** Whether pixels stay whole numbers until the table, or are float32 from the resize on. */
public enum class PixelValues { UINT8, FLOAT32 }

/** Which part a crop keeps, or where a pad puts the image. */
public enum class Anchor { CENTER, TOP_LEFT }

/** How a side that is no whole number becomes one. */
public enum class Rounding { HALF_EVEN, FLOOR, CEIL }

/** Contain: all of the image inside the size. Cover: the size filled. Stretch: both sides. */
public enum class ResizeTo { CONTAIN, COVER, STRETCH }

/** Whose arithmetic a resize follows, to the last bit. */
public enum class Filter {
    PILLOW_NEAREST,
    PILLOW_BOX,
    PILLOW_BILINEAR,
    PILLOW_HAMMING,
    PILLOW_BICUBIC,
    PILLOW_LANCZOS,
    OPENCV_NEAREST,
    OPENCV_LINEAR,
    OPENCV_AREA,
    OPENCV_CUBIC,
    TENSORFLOW_BILINEAR_HALF_PIXEL,
    TENSORFLOW_BILINEAR_LEGACY,
    TENSORFLOW_BILINEAR_ALIGN_CORNERS,
    ;

    /** The contract's name, as `opencv.linear`. */
    public val wire: String get() = name.lowercase().replaceFirst('_', '.')

    /** True where the result is float32 and not rounded. */
    public val isFloat: Boolean get() = name.startsWith("TENSORFLOW")
}

/** One step of the geometry. */
public sealed interface GeometryOp {
    /** True for a resize after which pixels are float32. */
    public val isFloatResize: Boolean get() = this is Resize && filter.isFloat
}

/** Cut a rectangle out; exactly one of [fraction], [aspect] (width / height), [size] is given. */
public data class Crop(
    val fraction: Double? = null,
    val aspect: Double? = null,
    val size: Size? = null,
    val anchor: Anchor = Anchor.CENTER,
    val round: Rounding = Rounding.HALF_EVEN,
) : GeometryOp

/** Scale: inside [size] (contain), covering it (cover), or to it (stretch). */
public data class Resize(
    val to: ResizeTo,
    val size: Size,
    val round: Rounding = Rounding.HALF_EVEN,
    val upscale: Boolean = true,
    val filter: Filter = Filter.OPENCV_LINEAR,
) : GeometryOp

/** Fill up to [size] with [value] (0..255, in the order of the contract's channels). */
public data class Pad(
    val size: Size,
    val anchor: Anchor = Anchor.CENTER,
    val value: List<Int> = listOf(114, 114, 114),
) : GeometryOp

/**
 * How a picture becomes one input tensor.
 *
 * @property background what shows through transparent pixels; null: alpha is dropped.
 * @property gray exactly where [channels] is gray.
 * @property size of the tensor.
 * @property scale pixels are multiplied by it first, then [mean] is subtracted, then divided by
 *   [std]; mean, std and pad values are in the order of [channels].
 */
public data class ImageInput(
    val name: String = "image",
    val orientation: OrientationRule = OrientationRule.EXIF,
    val colorProfile: ColorProfile = ColorProfile.AS_STORED,
    val background: Rgb? = null,
    val channels: Channels = Channels.RGB,
    val gray: GrayFormula? = null,
    val geometry: List<GeometryOp>,
    val size: Size,
    val values: PixelValues = PixelValues.UINT8,
    val scale: Double,
    val mean: List<Double>,
    val std: List<Double>,
) {
    /** 1 for gray, else 3. */
    public val channelCount: Int get() = if (channels == Channels.GRAY) 1 else 3
}
