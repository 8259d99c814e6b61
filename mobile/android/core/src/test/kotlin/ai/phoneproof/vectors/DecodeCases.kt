package ai.phoneproof.vectors

import ai.phoneproof.PhoneproofError
import ai.phoneproof.contract.Binding
import ai.phoneproof.contract.Contract
import ai.phoneproof.contract.DType
import ai.phoneproof.contract.OrientationRule
import ai.phoneproof.decode.Decoder
import ai.phoneproof.decode.OutputTensor
import ai.phoneproof.json.JsonNumber
import ai.phoneproof.json.JsonObject
import ai.phoneproof.pixels.GeometryPlan
import ai.phoneproof.pixels.Orientation
import ai.phoneproof.pixels.PixelPipeline
import ai.phoneproof.pixels.RgbPicture
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.Base64
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows

private const val BOX_PIXELS = 1e-4f
private const val SCORE = 1e-6f

internal fun decode(case: VectorCase) {
    if (case.json.flag("error")) {
        assertThrows(case.id, PhoneproofError::class.java) { results(case) }
    } else {
        results(case)
    }
}

private fun results(case: VectorCase) {
    val json = case.json
    val contract = Contract.parse(json.source("contract"))
    val decoder = Decoder(contract, Binding.parse(json.source("binding"), contract))
    val index = (json.fields["index"] as JsonNumber?)?.text?.toInt() ?: 0
    val outputs = outputs(json)
    when {
        "classes" in json.fields -> checkClasses(case, decoder, outputs, index)

        "raw" in json.fields -> checkRaw(case, decoder, outputs, index)

        else -> {
            val plan = GeometryPlan.of(contract.image, json.int("height"), json.int("width"))
            checkDetections(case, decoder, outputs, plan, index)
        }
    }
}

internal fun image(case: VectorCase) {
    val json = case.json
    val contract = Contract.parse(json.source("contract"))
    val binding = Binding.parse(json.source("binding"), contract)
    val picture = FormulaPicture.of(json.child("picture"))
    val pipeline = PixelPipeline(contract.image, binding.image)
    val stored = if (picture.channels == 4) {
        argb(picture)
    } else {
        RgbPicture(picture.rgb(), picture.height, picture.width)
    }
    val follows = contract.image.orientation == OrientationRule.EXIF
    val plan = pipeline.fill(stored, Orientation.ofExif(if (follows) json.int("exif") else 1))
    checkDigest(case, pipeline.bytes(), json.child("tensor"))
    val decoder = Decoder(contract, binding)
    if ("classes" in json.fields) {
        checkClasses(case, decoder, outputs(json), 0)
    } else {
        checkDetections(case, decoder, outputs(json), plan, 0)
    }
}

private fun outputs(json: JsonObject): List<OutputTensor> = json.list("outputs").map { item ->
    val tensor = item as JsonObject
    val data = Base64.getDecoder().decode(tensor.text("data"))
    val bytes = ByteBuffer.allocateDirect(data.size).order(ByteOrder.LITTLE_ENDIAN)
    bytes.put(data).rewind()
    val dtype = DType.entries.single { it.name.lowercase() == tensor.text("dtype") }
    OutputTensor(tensor.text("tensor"), dtype, tensor.numbers("shape").map { it.toInt() }, bytes)
}

private fun checkDetections(
    case: VectorCase,
    decoder: Decoder,
    outputs: List<OutputTensor>,
    plan: GeometryPlan,
    index: Int,
) {
    val found = decoder.detections(outputs, plan, index)
    val expected = if ("error" in case.json.fields) emptyList() else case.json.list("detections")
    assertEquals("${case.id}: detections", expected.size, found.size)
    expected.forEachIndexed { rank, item ->
        val row = item as JsonObject
        val one = found[rank]
        assertEquals("${case.id}: class at $rank", row.int("class"), one.classIndex)
        assertEquals("${case.id}: score at $rank", row.number("score").toFloat(), one.score, SCORE)
        val box = row.numbers("box").map { it.toFloat() }.toFloatArray()
        val here = floatArrayOf(one.left, one.top, one.right, one.bottom)
        assertArrayEquals("${case.id}: box at $rank", box, here, BOX_PIXELS)
    }
}

private fun checkClasses(
    case: VectorCase,
    decoder: Decoder,
    outputs: List<OutputTensor>,
    index: Int,
) {
    val found = decoder.classes(outputs, index)
    val expected = case.json.list("classes").map { it as JsonObject }
    assertEquals(case.id, expected.map { it.int("class") }, found.map { it.classIndex })
    expected.forEachIndexed { rank, row ->
        assertEquals("${case.id}: $rank", row.number("score").toFloat(), found[rank].score, SCORE)
    }
}

private fun checkRaw(case: VectorCase, decoder: Decoder, outputs: List<OutputTensor>, index: Int) {
    val found = decoder.raw(outputs, index)
    val expected = case.json.list("raw").map { it as JsonObject }
    assertEquals(case.id, expected.map { it.text("tensor") }, found.map { it.name })
    expected.zip(found).forEach { (row, tensor) ->
        assertEquals(case.id, row.numbers("shape").map { it.toInt() }, tensor.shape)
        val data = ByteBuffer.wrap(Base64.getDecoder().decode(row.text("data")))
        val floats = data.order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        val values = FloatArray(floats.remaining()).also { floats.get(it) }
        assertArrayEquals(case.id, values, tensor.values, 0f)
    }
}
