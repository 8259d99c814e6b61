package ai.phoneproof.contract

import ai.phoneproof.BindingError
import ai.phoneproof.PhoneproofError

/** What kind of file the binding is of; the hub is the intermediate one of a build. */
public enum class ModelFormat { HUB, ONNX, TFLITE, SAVED_MODEL, COREML, COREAI }

/** Order of the axes of an image tensor. */
public enum class Layout { NCHW, NHWC }

/** Element types of tensors; [bytes] an element. */
public enum class DType(public val bytes: Int) {
    FLOAT32(4),
    FLOAT16(2),
    INT8(1),
    UINT8(1),
    INT16(2),
    INT32(4),
    INT64(8),
    BOOL(1),
}

/** What an output means. */
public enum class Role {
    BOXES,
    SCORES,
    OBJECTNESS,
    CLASSES,
    COUNT,
    DFL,
    KEYPOINTS,
    HEATMAP,
    MASK,
    RAW,
}

/** What an axis of an output counts. */
public enum class Axis { ANCHOR, COORD, CLASS, Y, X, BIN, CHANNEL }

/** What is still to be applied to the values of an output. */
public enum class Activation { NONE, SIGMOID, SOFTMAX }

/** Corners, centre and size, distances from the anchor, or the offsets of SSD. */
public enum class BoxFormat { XYXY, YXYX, CXCYWH, LTRB, SSD }

/** Pixels of the input, fractions of its sides, or multiples of the level's stride. */
public enum class BoxUnits { PIXELS, FRACTION, STRIDE }

/** Which coordinate comes first. */
public enum class CoordOrder { XY, YX }

/** Per-tensor affine quantization: real = (q - [zeroPoint]) * [scale]. */
public data class Quant(val scale: Double, val zeroPoint: Int)

/**
 * How four numbers mean a rectangle.
 *
 * @property variances of x, y, width and height, whatever the order; null is four times 1.
 * @property order yx where each pair of cxcywh, ltrb or ssd is the other way round.
 */
public data class Box(
    val format: BoxFormat,
    val units: BoxUnits = BoxUnits.PIXELS,
    val variances: List<Double>? = null,
    val order: CoordOrder = CoordOrder.XY,
)

/** What box values are relative to. */
public sealed interface Anchors

/** One anchor a cell of each level's grid. */
public data class GridAnchors(val strides: List<Int>, val offset: Double = 0.5) : Anchors

/** YOLOv5 anchors: for each stride the widths and heights in pixels. */
public data class YoloAnchors(val strides: List<Int>, val wh: List<List<Pair<Double, Double>>>) :
    Anchors

/** SSD priors: base64 of [count] rows cx, cy, w, h, little-endian float32. */
public data class PriorAnchors(val count: Int, val data: String) : Anchors

/**
 * One input tensor.
 *
 * @property shape batch first; -1 where it is dynamic.
 * @property normaliseInFile scale, mean and std are inside the model.
 */
public data class InputBinding(
    val forInput: String = "image",
    val tensor: String,
    val shape: List<Int>,
    val layout: Layout,
    val dtype: DType = DType.FLOAT32,
    val quant: Quant? = null,
    val normaliseInFile: Boolean = false,
)

/**
 * One role carried by one output tensor or by a slice of it.
 *
 * @property shape batch first.
 * @property axes names of the axes after the batch.
 * @property slice first (included) and end (excluded) along the axis of values.
 * @property packed how many anchors of a cell lie one after the other along that axis.
 * @property classOffset added to the file's class number to get the label's index.
 */
public data class OutputBinding(
    val tensor: String,
    val role: Role,
    val shape: List<Int>,
    val axes: List<Axis> = emptyList(),
    val level: Int? = null,
    val slice: Pair<Int, Int>? = null,
    val packed: Int = 1,
    val classOffset: Int = 0,
    val dtype: DType = DType.FLOAT32,
    val quant: Quant? = null,
    val activation: Activation = Activation.NONE,
    val box: Box? = null,
)

/**
 * How one model file carries its contract (schema `phoneproof.binding/1`).
 *
 * @property artifact sha256 of the model file; null inside the file itself.
 * @property contract sha256 of the contract this file belongs to.
 * @property nmsInFile the file suppresses by itself.
 * @property decodeOverride what holds instead of the contract's decode for this file alone.
 */
public data class Binding(
    val artifact: String?,
    val contract: String,
    val format: ModelFormat,
    val precision: String,
    val batch: Int,
    val inputs: List<InputBinding>,
    val outputs: List<OutputBinding>,
    val anchors: Anchors?,
    val nmsInFile: Boolean,
    val decodeOverride: Decode?,
) {
    /** The one image input. */
    public val image: InputBinding get() = inputs[0]

    /** Output tensor names, each once, in order. */
    public val tensors: List<String> get() = outputs.map { it.tensor }.distinct()

    /**
     * Refuses a contract that is not the one this file was made with.
     *
     * @throws BindingError the hashes differ.
     */
    public fun requireContract(contract: Contract) {
        if (this.contract != contract.sha256) {
            throw BindingError(
                "the binding belongs to another contract",
                "contract ${this.contract.take(12)}, given ${contract.sha256.take(12)} " +
                    "(${contract.name} ${contract.version})",
                "use the contract.json of the same bundle, unedited",
            )
        }
    }

    public companion object {
        /**
         * Reads a binding; whose contract it names is not looked at (see [requireContract]).
         *
         * @throws PhoneproofError (a BindingError) text that is no JSON, a newer schema, or a field
         *   that is missing, unknown or of another type.
         */
        @JvmStatic
        public fun parse(text: String): Binding = readBinding(text)

        /**
         * Reads a binding of [contract].
         *
         * @throws PhoneproofError (a BindingError) as the other one, or a binding of another
         *   contract.
         */
        @JvmStatic
        public fun parse(text: String, contract: Contract): Binding =
            readBinding(text).also { it.requireContract(contract) }
    }
}
