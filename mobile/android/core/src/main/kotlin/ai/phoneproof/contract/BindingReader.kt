package ai.phoneproof.contract

import ai.phoneproof.json.Document
import ai.phoneproof.json.Fields
import ai.phoneproof.json.JsonArray
import ai.phoneproof.json.JsonNumber
import ai.phoneproof.json.JsonObject
import ai.phoneproof.json.JsonValue

private val PRECISIONS = setOf(
    "float32",
    "float16",
    "dynamic_wi8",
    "weight_only_wi8",
    "weight_only_wi4",
    "palette4",
    "palette6",
    "static_wi8_ai8",
    "static_wi8_ai16",
    "mixed",
    "sparse",
)

internal fun readBinding(text: String): Binding {
    val fields = Fields.of(Fields.parsed(text, Document.BINDING), Document.BINDING)
    val inputs = fields.children("inputs").map(::readInputBinding)
    fields.require(inputs.size == 1, "exactly one input is supported", "${inputs.size} inputs")
    val precision = fields.text("precision", "float32")
    fields.require(precision in PRECISIONS, "precision is none that is known", precision)
    val binding = Binding(
        artifact = fields.textOrNull("artifact"),
        contract = fields.text("contract"),
        format = fields.choice("format", ModelFormat.entries),
        precision = precision,
        batch = fields.integer("batch", 1),
        inputs = inputs,
        outputs = fields.children("outputs").map(::readOutput),
        anchors = fields.childOrNull("anchors")?.let(::readAnchors),
        nmsInFile = fields.flag("nms_in_file", false),
        decodeOverride = fields.childOrNull("decode_override")?.let(::readDecode),
    )
    fields.end()
    return binding
}

internal fun readInputBinding(fields: Fields): InputBinding {
    val input = InputBinding(
        forInput = fields.text("for", "image"),
        tensor = fields.text("tensor"),
        shape = shape(fields),
        layout = fields.choice("layout", Layout.entries) { it.name },
        dtype = fields.choice("dtype", DType.entries, DType.FLOAT32),
        quant = fields.childOrNull("quant")?.let(::readQuant),
        normaliseInFile = fields.flag("normalise_in_file", false),
    )
    fields.end()
    return input
}

private fun shape(fields: Fields): List<Int> {
    val shape = fields.integersOrNull("shape")
    fields.require(shape != null, "shape is missing")
    return shape.orEmpty()
}

private fun readQuant(fields: Fields): Quant {
    val quant = Quant(fields.number("scale"), fields.integer("zero_point"))
    fields.end()
    return quant
}

private fun readOutput(fields: Fields): OutputBinding {
    val slice = fields.integersOrNull("slice")
    fields.require(slice == null || slice.size == 2, "slice is two numbers")
    val output = OutputBinding(
        tensor = fields.text("tensor"),
        role = fields.choice("role", Role.entries),
        shape = shape(fields),
        axes = fields.choices("axes", Axis.entries),
        level = fields.integerOrNull("level"),
        slice = slice?.let { (first, end) -> first to end },
        packed = fields.integer("packed", 1),
        classOffset = fields.integer("class_offset", 0),
        dtype = fields.choice("dtype", DType.entries, DType.FLOAT32),
        quant = fields.childOrNull("quant")?.let(::readQuant),
        activation = fields.choice("activation", Activation.entries, Activation.NONE),
        box = fields.childOrNull("box")?.let(::readBox),
    )
    fields.end()
    return output
}

private fun readBox(fields: Fields): Box {
    val box = Box(
        format = fields.choice("format", BoxFormat.entries),
        units = fields.choice("units", BoxUnits.entries, BoxUnits.PIXELS),
        variances = fields.numbersOrNull("variances"),
        order = fields.choice("order", CoordOrder.entries, CoordOrder.XY),
    )
    val count = box.variances?.size ?: 4
    fields.require(count == 4, "variances are four numbers", "$count")
    fields.end()
    return box
}

private fun readAnchors(fields: Fields): Anchors {
    val kind = fields.text("kind")
    val anchors = when (kind) {
        "grid" -> GridAnchors(strides(fields), fields.number("offset", 0.5))
        "yolo_anchor" -> YoloAnchors(strides(fields), fields.items("wh").map { wh(fields, it) })
        "priors" -> PriorAnchors(fields.integer("count"), fields.text("data"))
        else -> null
    }
    fields.require(anchors != null, "anchors are grid, yolo_anchor or priors", kind)
    fields.end()
    return anchors!!
}

private fun strides(fields: Fields): List<Int> {
    val strides = fields.integersOrNull("strides").orEmpty()
    fields.require(strides.isNotEmpty() && strides.all { it > 0 }, "strides are positive")
    return strides
}

private fun wh(fields: Fields, level: JsonValue): List<Pair<Double, Double>> {
    val rows = (level as? JsonArray)?.items.orEmpty().map { row ->
        (row as? JsonArray)?.items.orEmpty().map { (it as? JsonNumber)?.text?.toDouble() }
    }
    val good = rows.isNotEmpty() && rows.all { row -> row.size == 2 && row.all { it != null } }
    fields.require(good, "wh is, for each stride, a list of [width, height]")
    return rows.map { (width, height) -> width!! to height!! }
}

/** For tests: an `InputBinding` alone, as golden vectors hold it. */
internal fun readInputBinding(json: JsonObject): InputBinding =
    readInputBinding(Fields(json, "", Document.BINDING))
