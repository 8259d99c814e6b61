package ai.phoneproof.vectors

import ai.phoneproof.PhoneproofError
import ai.phoneproof.contract.Channels
import ai.phoneproof.contract.DType
import ai.phoneproof.contract.Filter
import ai.phoneproof.contract.GeometryOp
import ai.phoneproof.contract.GrayFormula
import ai.phoneproof.contract.ImageInput
import ai.phoneproof.contract.InputBinding
import ai.phoneproof.contract.Layout
import ai.phoneproof.contract.PixelValues
import ai.phoneproof.contract.Resize
import ai.phoneproof.contract.ResizeTo
import ai.phoneproof.contract.Rgb
import ai.phoneproof.contract.Size
import ai.phoneproof.contract.readImageInput
import ai.phoneproof.contract.readInputBinding
import ai.phoneproof.json.JsonArray
import ai.phoneproof.json.JsonNumber
import ai.phoneproof.json.JsonObject
import ai.phoneproof.json.JsonString
import ai.phoneproof.pixels.ArgbPicture
import ai.phoneproof.pixels.CropStep
import ai.phoneproof.pixels.GeometryPlan
import ai.phoneproof.pixels.GeometryStep
import ai.phoneproof.pixels.Orientation
import ai.phoneproof.pixels.PadStep
import ai.phoneproof.pixels.Picture
import ai.phoneproof.pixels.PixelPipeline
import ai.phoneproof.pixels.ResizeStep
import ai.phoneproof.pixels.RgbPicture
import ai.phoneproof.pixels.YuvPicture
import java.nio.ByteBuffer
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows

/** The bytes of the tensor. */
internal fun PixelPipeline.bytes(): ByteArray =
    ByteArray(tensor.capacity()).also { tensor.duplicate().get(it) }

/** An input that stores pixels as they are. */
internal fun plainInput(
    size: Size,
    geometry: List<GeometryOp> = emptyList(),
    gray: GrayFormula? = null,
    background: Rgb? = null,
    values: PixelValues = PixelValues.UINT8,
): ImageInput {
    val count = if (gray == null) 3 else 1
    return ImageInput(
        channels = if (gray == null) Channels.RGB else Channels.GRAY,
        gray = gray,
        background = background,
        geometry = geometry,
        size = size,
        values = values,
        scale = 1.0,
        mean = List(count) { 0.0 },
        std = List(count) { 1.0 },
    )
}

/** A binding that stores pixels as they are. */
internal fun plainBinding(input: ImageInput, dtype: DType = DType.UINT8): InputBinding =
    InputBinding(
        tensor = "image",
        shape = listOf(1, input.size.height, input.size.width, input.channelCount),
        layout = Layout.NHWC,
        dtype = dtype,
        normaliseInFile = true,
    )

internal fun plainPixels(
    input: ImageInput,
    picture: Picture,
    orientation: Orientation = Orientation.UPRIGHT,
    dtype: DType = DType.UINT8,
): ByteArray {
    val pipeline = PixelPipeline(input, plainBinding(input, dtype))
    pipeline.fill(picture, orientation)
    return pipeline.bytes()
}

internal fun checkDigest(
    case: VectorCase,
    bytes: ByteArray,
    expected: JsonObject = case.json.child("expected"),
) {
    assertEquals(case.id, expected.text("sha256"), sha256(bytes))
}

internal fun resize(case: VectorCase) {
    val picture = FormulaPicture.of(case.json.child("picture"))
    val filter = Filter.entries.single { it.wire == case.json.text("filter") }
    val size = sizeOf(case.json)
    val input = plainInput(
        size,
        listOf(Resize(ResizeTo.STRETCH, size, filter = filter)),
        // Equal channels are their own grey by Pillow's weights, whose sum is 2^16.
        gray = if (picture.channels == 1) GrayFormula.PILLOW else null,
        values = if (filter.isFloat) PixelValues.FLOAT32 else PixelValues.UINT8,
    )
    val dtype = if (filter.isFloat) DType.FLOAT32 else DType.UINT8
    val rgb = RgbPicture(picture.rgb(), picture.height, picture.width)
    checkDigest(case, plainPixels(input, rgb, dtype = dtype))
}

private fun sizeOf(json: JsonObject): Size {
    val (height, width) = json.numbers("size")
    return Size(height.toInt(), width.toInt())
}

internal fun geometry(case: VectorCase) {
    val json = case.json
    if (json.flag("error")) {
        assertThrows(case.id, PhoneproofError::class.java) { planned(json) }
        return
    }
    val plan = planned(json)
    val expected = GeometryPlan(
        original = Size(json.int("height"), json.int("width")),
        steps = json.list("steps").map { step(it as JsonObject) },
        size = sizeOf(json),
        gainY = json.number("gain_y"),
        gainX = json.number("gain_x"),
        top = json.number("top"),
        left = json.number("left"),
    )
    assertEquals(case.id, expected, plan.copy(top = plan.top + 0.0, left = plan.left + 0.0))
}

private fun step(json: JsonObject): GeometryStep {
    val height = json.int("height")
    val width = json.int("width")
    return when (val op = json.text("op")) {
        "crop" -> CropStep(json.int("top"), json.int("left"), height, width)

        "pad" -> {
            val value = json.numbers("value").map { it.toInt() }
            PadStep(json.int("top"), json.int("left"), height, width, value)
        }

        "resize" -> {
            val filter = Filter.entries.single { it.wire == json.text("filter") }
            ResizeStep(height, width, json.number("gain_y"), json.number("gain_x"), filter)
        }

        else -> error("no step $op")
    }
}

internal fun tensor(case: VectorCase) {
    checkDigest(case, tensorBytes(case))
}

internal fun tensorBytes(
    case: VectorCase,
    changed: (ImageInput) -> ImageInput = { it },
): ByteArray {
    val input = changed(readImageInput(case.json.child("input")))
    val pipeline = PixelPipeline(input, readInputBinding(case.json.child("binding")))
    val picture = FormulaPicture.of(case.json.child("picture"))
    pipeline.fill(RgbPicture(picture.rgb(), picture.height, picture.width))
    return pipeline.bytes()
}

internal fun gray(case: VectorCase) {
    val picture = FormulaPicture.of(case.json.child("picture"))
    val formula = GrayFormula.entries.single { it.name.lowercase() == case.json.text("formula") }
    val input = plainInput(Size(picture.height, picture.width), gray = formula)
    val rgb = RgbPicture(picture.values, picture.height, picture.width)
    checkDigest(case, plainPixels(input, rgb))
}

internal fun alpha(case: VectorCase) {
    val picture = FormulaPicture.of(case.json.child("picture"))
    val drops = case.json.fields.getValue("background") == JsonString("drop")
    val background = if (drops) {
        null
    } else {
        val (red, green, blue) =
            case.json.list("background").map { (it as JsonNumber).text.toInt() }
        Rgb(red, green, blue)
    }
    val input = plainInput(Size(picture.height, picture.width), background = background)
    checkDigest(case, plainPixels(input, argb(picture)))
}

/** Red, green, blue, opacity as `Bitmap.getPixels` gives them. */
internal fun argb(picture: FormulaPicture): ArgbPicture {
    val pixels = IntArray(picture.height * picture.width) { i ->
        val (r, g, b, a) = List(4) { picture.values[i * 4 + it].toInt() and 255 }
        (a shl 24) or (r shl 16) or (g shl 8) or b
    }
    return ArgbPicture(pixels, picture.height, picture.width)
}

internal fun orientation(case: VectorCase) {
    val picture = FormulaPicture.of(case.json.child("picture"))
    val orientation = Orientation.ofExif(case.json.int("exif"))
    val stored = Size(picture.height, picture.width)
    val size = if (orientation.swapsSides) Size(stored.width, stored.height) else stored
    val rgb = RgbPicture(picture.values, picture.height, picture.width)
    checkDigest(case, plainPixels(plainInput(size), rgb, orientation))
}

internal fun tables(case: VectorCase) {
    val error = case.json.flag("error")
    if (error) {
        assertThrows(case.id, PhoneproofError::class.java) { tableBytes(case) }
    } else {
        checkDigest(case, tableBytes(case))
    }
}

/** The tables as the tensor shows them: a picture that holds every value once, unscaled. */
private fun tableBytes(case: VectorCase): ByteArray {
    val size = Size(16, 16)
    val input = readImageInput(case.json.child("input")).copy(geometry = emptyList(), size = size)
    val binding = readInputBinding(case.json.child("binding"))
    val shape = listOf(1, input.channelCount, 16, 16)
    val pipeline = PixelPipeline(input, binding.copy(shape = shape, layout = Layout.NCHW))
    pipeline.fill(RgbPicture(ByteArray(256 * 3) { (it / 3).toByte() }, 16, 16))
    return pipeline.bytes()
}

internal fun yuv(case: VectorCase) {
    val json = case.json
    val input = plainInput(Size(json.int("height"), json.int("width")))
    checkDigest(case, plainPixels(input, yuvPicture(json)))
}

private fun yuvPicture(json: JsonObject): YuvPicture {
    val height = json.int("height")
    val width = json.int("width")
    val seed = json.int("seed")
    val lumaStride = json.child("y").int("row_stride")
    val chroma = json.child("chroma")
    val stride = chroma.int("row_stride")
    val step = chroma.int("pixel_stride")
    val length = ((height + 1) / 2 - 1) * stride + ((width + 1) / 2 - 1) * step + 1
    val luma = noise(seed, (height - 1) * lumaStride + width)
    val first = ByteBuffer.wrap(noise(seed + 1, length))
    val second = if (step == 1) {
        ByteBuffer.wrap(noise(seed + 2, length))
    } else {
        ByteBuffer.wrap(noise(seed + 1, length + 1), 1, length).slice()
    }
    val swapped = chroma.text("order") == "vu" && step == 2
    return YuvPicture(
        y = ByteBuffer.wrap(luma),
        u = if (swapped) second else first,
        v = if (swapped) first else second,
        height = height,
        width = width,
        yRowStride = lumaStride,
        chromaRowStride = stride,
        chromaPixelStride = step,
    )
}

private fun planned(json: JsonObject): GeometryPlan =
    GeometryPlan.of(readImageInput(json.child("input")), json.int("height"), json.int("width"))

internal fun inverse(case: VectorCase) {
    val json = case.json
    val plan = planned(json)
    val boxes = boxes(json, "boxes")
    plan.toOriginal(boxes, boxes.size / 4)
    boxes(json, "expected").forEachIndexed { index, expected ->
        assertEquals("${case.id} value $index", expected + 0f, boxes[index] + 0f, 0f)
    }
}

private fun boxes(json: JsonObject, name: String): FloatArray = json
    .list(name)
    .flatMap { row -> (row as JsonArray).items }
    .map { it.asDouble().toFloat() }
    .toFloatArray()
