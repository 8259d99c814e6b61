package ai.phoneproof.pixels

import ai.phoneproof.ContractError
import ai.phoneproof.ImageError
import ai.phoneproof.contract.Anchor
import ai.phoneproof.contract.Crop
import ai.phoneproof.contract.GeometryOp
import ai.phoneproof.contract.ImageInput
import ai.phoneproof.contract.Pad
import ai.phoneproof.contract.Resize
import ai.phoneproof.contract.ResizeTo
import ai.phoneproof.contract.Rounding
import ai.phoneproof.contract.Size
import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min

// The rounding rules are those of the frameworks whose models are converted; they are written
// down, with their sources, in phoneproof/pixels/geometry.py. Quotients and products are float64.

internal fun planGeometry(input: ImageInput, height: Int, width: Int): GeometryPlan {
    if (height < 1 || width < 1) {
        throw ImageError(
            "a picture must have at least one pixel",
            "$height x $width (height x width)",
            "check that the picture was decoded",
        )
    }
    val original = Size(height, width)
    val steps = ArrayList<GeometryStep>()
    var size = original
    input.geometry.forEachIndexed { index, op ->
        val step = step(op, index + 1, size)
        if (step.height.toLong() * step.width >
            MAX_PIXELS
        ) {
            throw tooLarge(original, index + 1, step)
        }
        val next = Size(step.height, step.width)
        if (step is ResizeStep || next != size) steps.add(step)
        size = next
    }
    if (size != input.size) throw wrongSize(input, original, size)
    return GeometryPlan(
        original = original,
        steps = steps,
        size = size,
        gainY = steps.fold(1.0) { gain, step -> if (step is ResizeStep) step.gainY else gain },
        gainX = steps.fold(1.0) { gain, step -> if (step is ResizeStep) step.gainX else gain },
        top = steps.fold(0.0) { top, step -> moved(top, step, vertical = true) },
        left = steps.fold(0.0) { left, step -> moved(left, step, vertical = false) },
    )
}

private fun moved(offset: Double, step: GeometryStep, vertical: Boolean): Double = when (step) {
    is CropStep -> offset - if (vertical) step.top else step.left
    is PadStep -> offset + if (vertical) step.top else step.left
    is ResizeStep -> offset * if (vertical) step.gainY else step.gainX
}

private fun step(op: GeometryOp, number: Int, size: Size): GeometryStep = when (op) {
    is Crop -> crop(op, number, size)
    is Resize -> resize(op, size)
    is Pad -> pad(op, number, size)
}

private fun crop(op: Crop, number: Int, size: Size): CropStep {
    val cut = cropSize(op, size)
    if (cut.height > size.height || cut.width > size.width) {
        throw ContractError(
            "geometry step $number (crop) cuts more than the image has",
            "a crop of ${text(cut)} from an image of ${text(size)}",
            "put a resize to cover, or a pad, before the crop",
        )
    }
    if (op.anchor == Anchor.TOP_LEFT) return CropStep(0, 0, cut.height, cut.width)
    val top = rounded((size.height - cut.height) / 2.0, op.round)
    val left = rounded((size.width - cut.width) / 2.0, op.round)
    return CropStep(top, left, cut.height, cut.width)
}

private fun cropSize(op: Crop, size: Size): Size {
    if (op.size != null) return op.size
    if (op.fraction != null) {
        return Size(fraction(op.fraction, op, size.height), fraction(op.fraction, op, size.width))
    }
    val aspect = checkNotNull(op.aspect) { "a crop has fraction, aspect or size" }
    if (size.width > size.height * aspect) {
        val width = max(1, rounded(size.height * aspect, op.round))
        return Size(size.height, min(size.width, width))
    }
    val height = max(1, rounded(size.width / aspect, op.round))
    return Size(min(size.height, height), size.width)
}

private fun fraction(fraction: Double, op: Crop, side: Int): Int =
    if (op.anchor == Anchor.TOP_LEFT) {
        max(1, rounded(side * fraction, op.round))
    } else {
        max(1, side - 2 * rounded((side - side * fraction) / 2, op.round))
    }

private fun resize(op: Resize, size: Size): ResizeStep {
    val (height, width) = size
    val (targetH, targetW) = op.size
    if (!op.upscale && height <= targetH && width <= targetW) {
        return ResizeStep(height, width, 1.0, 1.0, op.filter)
    }
    val gainY = targetH.toDouble() / height
    val gainX = targetW.toDouble() / width
    if (op.to == ResizeTo.STRETCH || gainY == gainX) {
        return ResizeStep(targetH, targetW, gainY, gainX, op.filter)
    }
    val contain = op.to == ResizeTo.CONTAIN
    if ((gainY < gainX) == contain) {
        // Quotient first for contain, product first for cover, as the frameworks compute them.
        val free = if (contain) width * gainY else targetH.toDouble() * width / height
        return ResizeStep(targetH, max(1, rounded(free, op.round)), gainY, gainY, op.filter)
    }
    val free = if (contain) height * gainX else targetW.toDouble() * height / width
    return ResizeStep(max(1, rounded(free, op.round)), targetW, gainX, gainX, op.filter)
}

private fun pad(op: Pad, number: Int, size: Size): PadStep {
    val missingY = op.size.height - size.height
    val missingX = op.size.width - size.width
    if (missingY < 0 || missingX < 0) {
        throw ContractError(
            "geometry step $number (pad) is smaller than the image",
            "a pad to ${text(op.size)} of an image of ${text(size)}",
            "put a resize to contain, or a crop, before the pad",
        )
    }
    val centred = op.anchor == Anchor.CENTER
    return PadStep(
        top = if (centred) missingY / 2 else 0,
        left = if (centred) missingX / 2 else 0,
        height = op.size.height,
        width = op.size.width,
        value = op.value,
    )
}

private fun rounded(value: Double, rule: Rounding): Int = when (rule) {
    Rounding.FLOOR -> floor(value)
    Rounding.CEIL -> ceil(value)
    Rounding.HALF_EVEN -> Math.rint(value)
}.toInt()

/** A sliver of a picture that is to cover a square is stretched to thousands of times its length. */
private fun tooLarge(original: Size, number: Int, step: GeometryStep): ImageError = ImageError(
    "the picture becomes too large in geometry step $number",
    "${text(original)} becomes ${text(Size(step.height, step.width))}",
    "at most $MAX_PIXELS pixels are taken; crop the picture before",
)

private fun wrongSize(input: ImageInput, original: Size, size: Size): ContractError = ContractError(
    "the geometry ends at ${text(size)}, the input is ${text(input.size)}",
    "a picture of ${text(original)} and ${input.geometry.size} steps",
    "end the geometry with a pad, crop or stretch to ${text(input.size)}",
)

private fun text(size: Size): String = "${size.height}x${size.width}"
