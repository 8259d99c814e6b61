package ai.phoneproof.pixels

import ai.phoneproof.contract.ImageInput

/**
 * The rectangle of an upright picture that a model sees, in its pixels: what no crop of the
 * contract cuts off. What is padded lies outside of the picture and does not count.
 */
public data class VisibleRegion(
    val left: Float,
    val top: Float,
    val right: Float,
    val bottom: Float,
) {
    public companion object {
        /**
         * The region of a picture of [width] x [height] upright pixels.
         *
         * @throws ai.phoneproof.PhoneproofError the contract's geometry does not fit this size.
         */
        @JvmStatic
        public fun of(input: ImageInput, width: Int, height: Int): VisibleRegion =
            of(planGeometry(input, height, width))

        /** The region of the picture that [plan] was made for. */
        @JvmStatic
        public fun of(plan: GeometryPlan): VisibleRegion {
            val x = Side(plan.original.width)
            val y = Side(plan.original.height)
            for (step in plan.steps) {
                when (step) {
                    is CropStep -> {
                        x.crop(step.left, step.width)
                        y.crop(step.top, step.height)
                    }

                    is ResizeStep -> {
                        x.scale(step.gainX)
                        y.scale(step.gainY)
                    }

                    is PadStep -> {
                        x.move(step.left)
                        y.move(step.top)
                    }
                }
            }
            return VisibleRegion(
                x.first.toFloat(),
                y.first.toFloat(),
                x.last.toFloat(),
                y.last.toFloat(),
            )
        }
    }
}

/** One axis on its way through the steps: a pixel p of the original lies at p * gain + offset. */
private class Side(length: Int) {
    var first = 0.0
        private set
    var last = length.toDouble()
        private set
    private var gain = 1.0
    private var offset = 0.0

    fun crop(start: Int, length: Int) {
        first = maxOf(first, (start - offset) / gain)
        last = minOf(last, (start + length - offset) / gain)
        offset -= start
    }

    fun scale(by: Double) {
        gain *= by
        offset *= by
    }

    fun move(by: Int) {
        offset += by
    }
}
