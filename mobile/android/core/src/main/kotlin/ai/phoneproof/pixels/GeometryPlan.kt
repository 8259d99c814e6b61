package ai.phoneproof.pixels

import ai.phoneproof.contract.Filter
import ai.phoneproof.contract.ImageInput
import ai.phoneproof.contract.Size

/** One step of a plan, in whole pixels; [height] and [width] are what it results in. */
public sealed interface GeometryStep {
    public val height: Int
    public val width: Int
}

/** Keep rows top until top + height, and columns left until left + width. */
public data class CropStep(
    val top: Int,
    val left: Int,
    override val height: Int,
    override val width: Int,
) : GeometryStep

/**
 * Scale. For contain and cover both gains are the one float64 ratio of the formula, not the
 * quotient of the rounded sides.
 */
public data class ResizeStep(
    override val height: Int,
    override val width: Int,
    val gainY: Double,
    val gainX: Double,
    val filter: Filter,
) : GeometryStep

/** Place the image at (top, left) of a canvas filled with [value]. */
public data class PadStep(
    val top: Int,
    val left: Int,
    override val height: Int,
    override val width: Int,
    val value: List<Int>,
) : GeometryStep

/**
 * The geometry of one picture size in whole numbers.
 *
 * @property original size of the oriented original.
 * @property steps steps that would change nothing are left out, except a resize.
 * @property size of the tensor.
 * @property gainY tensor pixels per original pixel, as [gainX].
 * @property top where the original's upper edge lies in the tensor, in tensor pixels; negative
 *   where a crop cuts it off. [left] likewise.
 */
public data class GeometryPlan(
    val original: Size,
    val steps: List<GeometryStep>,
    val size: Size,
    val gainY: Double,
    val gainX: Double,
    val top: Double,
    val left: Double,
) {
    /**
     * Boxes in tensor pixels become boxes in pixels of the oriented original, clipped to it:
     * `(value - offset) / gain` in float64, rounded once to float32. NaN stays NaN.
     *
     * @param boxes x1, y1, x2, y2 of [count] boxes one after the other; changed in place.
     */
    public fun toOriginal(boxes: FloatArray, count: Int) {
        for (i in 0 until count * 2) {
            boxes[2 * i] = back(boxes[2 * i], left, gainX, original.width)
            boxes[2 * i + 1] = back(boxes[2 * i + 1], top, gainY, original.height)
        }
    }

    /** The other way round; nothing is clipped. */
    public fun toTensor(boxes: FloatArray, count: Int) {
        for (i in 0 until count * 2) {
            boxes[2 * i] = (boxes[2 * i].toDouble() * gainX + left).toFloat()
            boxes[2 * i + 1] = (boxes[2 * i + 1].toDouble() * gainY + top).toFloat()
        }
    }

    private fun back(value: Float, offset: Double, gain: Double, side: Int): Float {
        val wide = (value.toDouble() - offset) / gain
        return (
            if (wide < 0.0) {
                0.0
            } else if (wide > side) {
                side.toDouble()
            } else {
                wide
            }
            ).toFloat()
    }

    public companion object {
        /**
         * Follows the contract's geometry for an oriented original of [height] x [width] pixels.
         *
         * @throws ai.phoneproof.ContractError a crop or pad does not fit, or the last step does not
         *   end at the input's size.
         * @throws ai.phoneproof.ImageError a side below 1.
         */
        @JvmStatic
        public fun of(input: ImageInput, height: Int, width: Int): GeometryPlan =
            planGeometry(input, height, width)
    }
}
