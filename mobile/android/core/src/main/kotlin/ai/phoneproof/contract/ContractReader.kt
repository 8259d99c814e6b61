package ai.phoneproof.contract

import ai.phoneproof.json.Document
import ai.phoneproof.json.Fields
import ai.phoneproof.json.JsonArray
import ai.phoneproof.json.JsonNull
import ai.phoneproof.json.JsonNumber
import ai.phoneproof.json.JsonObject
import ai.phoneproof.json.JsonString
import ai.phoneproof.json.JsonValue
import ai.phoneproof.json.canonicalText
import java.security.MessageDigest

private const val LARGEST_SIDE = 16_384

internal fun readContract(text: String): Contract {
    val json = Fields.parsed(text, Document.CONTRACT)
    val fields = Fields.of(json, Document.CONTRACT)
    val inputs = fields.children("inputs").map(::readImageInput)
    fields.require(inputs.size == 1, "exactly one input is supported", "${inputs.size} inputs")
    val contract = Contract(
        name = fields.text("name"),
        version = fields.text("version", "1.0.0"),
        task = fields.choice("task", Task.entries),
        inputs = inputs,
        labels = fields.itemsOrNull("labels").orEmpty().map { label(fields, it) },
        decode = fields.childOrNull("decode")?.let(::readDecode),
        sha256 = sha256(canonicalText(json)),
    )
    fields.require(
        contract.task != Task.DETECT || contract.decode != null,
        "a detect contract needs decode",
    )
    fields.end()
    return contract
}

private fun sha256(text: String): String {
    val digest = MessageDigest.getInstance("SHA-256").digest(text.toByteArray(Charsets.UTF_8))
    return digest.joinToString("") { (it.toInt() and 0xff).toString(16).padStart(2, '0') }
}

private fun label(fields: Fields, value: JsonValue): String? {
    fields.require(value is JsonString || value == JsonNull, "a label is text or null")
    return (value as? JsonString)?.value
}

internal fun readDecode(fields: Fields): Decode {
    val decode = Decode(
        confidence = fields.number("confidence", 0.25),
        multiLabel = fields.flag("multi_label", false),
        nms = fields.childOrNull("nms")?.let(::readNms),
    )
    fields.require(decode.confidence in 0.0..1.0, "confidence must be in [0, 1]")
    fields.end()
    return decode
}

private fun readNms(fields: Fields): Nms {
    val nms = Nms(
        iou = fields.number("iou", 0.45),
        classAgnostic = fields.flag("class_agnostic", false),
        preTopK = fields.integer("pre_top_k", 30_000),
        maxDetections = fields.integer("max_detections", 300),
    )
    fields.require(nms.iou > 0 && nms.iou <= 1, "iou must be in (0, 1]")
    fields.require(nms.preTopK >= 1 && nms.maxDetections >= 1, "counts must be positive")
    fields.end()
    return nms
}

internal fun readImageInput(fields: Fields): ImageInput {
    val kind = fields.text("kind", "image")
    fields.require(kind == "image", "only image inputs are supported", kind)
    val input = ImageInput(
        name = fields.text("name", "image"),
        orientation = fields.choice("orientation", OrientationRule.entries, OrientationRule.EXIF),
        colorProfile = fields.choice("color_profile", ColorProfile.entries, ColorProfile.AS_STORED),
        background = background(fields),
        channels = fields.choice("channels", Channels.entries, Channels.RGB),
        gray = if (fields.has("gray")) fields.choice("gray", GrayFormula.entries) else null,
        geometry = fields.children("geometry").map(::readOp),
        size = size(fields, "size"),
        values = fields.choice("values", PixelValues.entries, PixelValues.UINT8),
        scale = fields.number("scale"),
        mean = fields.numbersOrNull("mean").orEmpty(),
        std = fields.numbersOrNull("std").orEmpty(),
    )
    check(fields, input)
    fields.end()
    return input
}

private fun check(fields: Fields, input: ImageInput) {
    val count = input.channelCount
    fields.require(
        (input.channels == Channels.GRAY) == (input.gray != null),
        "gray names its formula exactly when channels is gray",
    )
    fields.require(
        input.mean.size == count && input.std.size == count,
        "mean and std take $count value(s)",
        "${input.mean.size} and ${input.std.size}",
    )
    fields.require(input.scale > 0 && input.std.all { it > 0 }, "scale and std must be positive")
    val resizes = input.geometry.filterIsInstance<Resize>()
    fields.require(resizes.size <= 1, "geometry holds at most one resize")
    for (pad in input.geometry.filterIsInstance<Pad>()) {
        fields.require(pad.value.size == count, "a pad value takes $count number(s)")
    }
    val isFloat = input.values == PixelValues.FLOAT32
    fields.require(
        resizes.all { it.filter.isFloat == isFloat },
        "values is float32 exactly when the filter is tensorflow.*",
    )
}

/** "drop" or three numbers; the field is read as whichever it is. */
private fun background(fields: Fields): Rgb? {
    val rule = fields.value("alpha")
    if (rule == JsonNull || rule == JsonString("drop")) return null
    val parts = (rule as? JsonArray)?.items.orEmpty().map {
        (it as? JsonNumber)?.text?.toIntOrNull()
    }
    val good = parts.size == 3 && parts.all { it != null && it in 0..255 }
    fields.require(good, "alpha is \"drop\" or three numbers in 0..255", canonicalText(rule))
    val (red, green, blue) = parts.filterNotNull()
    return Rgb(red, green, blue)
}

private fun readOp(fields: Fields): GeometryOp {
    val op = when (val name = fields.text("op")) {
        "crop" -> readCrop(fields)
        "resize" -> readResize(fields)
        "pad" -> readPad(fields)
        else -> unknownOp(fields, name)
    }
    fields.end()
    return op
}

private fun unknownOp(fields: Fields, name: String): Nothing {
    fields.require(false, "op is crop, resize or pad", name)
    error("not reached")
}

private val CROP_ROUNDINGS = listOf(Rounding.HALF_EVEN, Rounding.FLOOR)

private fun readCrop(fields: Fields): Crop {
    val crop = Crop(
        fraction = fields.numberOrNull("fraction"),
        aspect = fields.numberOrNull("aspect"),
        size = if (fields.has("size")) size(fields, "size") else null,
        anchor = fields.choice("anchor", Anchor.entries, Anchor.CENTER),
        round = fields.choice("round", CROP_ROUNDINGS, Rounding.HALF_EVEN),
    )
    val given = listOfNotNull(crop.fraction, crop.aspect, crop.size).size
    fields.require(given == 1, "crop takes exactly one of fraction, aspect, size")
    fields.require(
        crop.fraction == null || (crop.fraction > 0 && crop.fraction <= 1),
        "crop fraction must be in (0, 1]",
    )
    fields.require(crop.aspect == null || crop.aspect > 0, "crop aspect must be positive")
    return crop
}

private fun readResize(fields: Fields): Resize = Resize(
    to = fields.choice("to", ResizeTo.entries),
    size = size(fields, "size"),
    round = fields.choice("round", Rounding.entries, Rounding.HALF_EVEN),
    upscale = fields.flag("upscale", true),
    filter = fields.choice("filter", Filter.entries, Filter.OPENCV_LINEAR) { it.wire },
)

private fun readPad(fields: Fields): Pad {
    val spare = fields.text("spare", "end")
    fields.require(spare == "end", "spare is end", spare)
    val value = fields.integersOrNull("value") ?: listOf(114, 114, 114)
    fields.require(value.all { it in 0..255 }, "a pad value is in 0..255")
    return Pad(
        size = size(fields, "size"),
        anchor = fields.choice("anchor", Anchor.entries, Anchor.CENTER),
        value = value,
    )
}

private fun size(fields: Fields, name: String): Size {
    val sides = fields.integersOrNull(name).orEmpty()
    val good = sides.size == 2 && sides.all { it in 1..LARGEST_SIDE }
    fields.require(good, "$name is [height, width], each in 1..$LARGEST_SIDE", sides.toString())
    return Size(sides[0], sides[1])
}

/** For tests: an `ImageInput` alone, as golden vectors hold it. */
internal fun readImageInput(json: JsonObject): ImageInput =
    readImageInput(Fields(json, "", Document.CONTRACT))
