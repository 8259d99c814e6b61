package ai.phoneproof.selftest

import ai.phoneproof.EngineError
import ai.phoneproof.ModelFolder
import ai.phoneproof.RedEngines
import ai.phoneproof.SmallBundle
import ai.phoneproof.VisionModel
import ai.phoneproof.contract.Contract
import ai.phoneproof.sha256Of
import android.graphics.Bitmap
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.random.Random
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment

private const val SIDE = 4
private const val CHANNELS = 3

/** Golden vectors that are right, and ones that are wrong in a known way. */
@RunWith(RobolectricTestRunner::class)
class GoldenProofTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private lateinit var bundle: SmallBundle
    private lateinit var values: FloatArray

    @Before
    fun paint() {
        bundle = SmallBundle(temporary.root)
        val noise = Random(5)
        val bitmap = Bitmap.createBitmap(2 * SIDE, 2 * SIDE, Bitmap.Config.ARGB_8888)
        for (y in 0 until 2 * SIDE) {
            for (x in 0 until 2 * SIDE) bitmap.setPixel(x, y, noise.nextInt() or OPAQUE)
        }
        val png = File(temporary.newFolder("golden"), "noise.png")
        png.outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
        values = tensorOf(png)
    }

    @Test
    fun `nothing differs from what was recorded`() {
        write()
        val proof = proof()
        assertEquals(listOf("noise"), proof.pictures)
        assertEquals(emptyList<GoldenDifference>(), proof.differences())
        assertEquals(emptyList<GoldenDifference>(), proof.differencesOn(RedEngines()))
    }

    @Test
    fun `swapped channels are named`() {
        write(
            pixels = FloatArray(values.size) {
                values[it / CHANNELS * CHANNELS + 2 - it % CHANNELS]
            },
        )
        assertCause(GoldenStage.PIXELS, "red and blue are swapped")
    }

    @Test
    fun `a row that is missing is named`() {
        val row = SIDE * CHANNELS
        write(pixels = FloatArray(values.size) { values[(it + row) % values.size] })
        assertCause(GoldenStage.PIXELS, "off by 1 rows and 0 columns")
    }

    @Test
    fun `another filter is named`() {
        write(pixels = FloatArray(values.size) { (values[it] + 9 * (it % 2)).coerceAtMost(255f) })
        assertCause(GoldenStage.PIXELS, "another resize")
    }

    @Test
    fun `another scale is named`() {
        write(tensor = FloatArray(values.size) { values[it] * 256 / 255 })
        assertCause(GoldenStage.TENSOR, "the scale: every value is 0.99609 of what it should be")
    }

    @Test
    fun `another mean is named`() {
        write(tensor = FloatArray(values.size) { values[it] + 3 })
        assertCause(GoldenStage.TENSOR, "mean")
    }

    @Test
    fun `another result is named`() {
        val wrong = 1 - best()
        write(first = wrong)
        val difference = proof().differences().single()
        assertEquals(GoldenStage.RESULTS, difference.stage)
        assertEquals("result 0 is class ${best()} instead of $wrong", difference.found)
    }

    @Test
    fun `an engine that computes something else is not used`() {
        write(outputs = floatArrayOf(0.9f, 0.1f))
        assertThrows(EngineError::class.java) { proof().differencesOn(RedEngines()) }
    }

    private fun assertCause(stage: GoldenStage, cause: String) {
        val difference = proof().differences().single()
        assertEquals(stage, difference.stage)
        assertTrue(difference.toString(), cause in difference.cause)
    }

    private fun proof() = GoldenProof(ModelFolder.disk(bundle.folder), bundle.path)

    /** What the library itself makes of the picture. */
    private fun tensorOf(picture: File): FloatArray {
        val context = RuntimeEnvironment.getApplication()
        val dump = File(temporary.root, "dump.bin")
        VisionModel.fromFile(context, bundle.folder, bundle.path, RedEngines()).use {
            it.dumpPixels(picture, dump)
        }
        val floats = ByteBuffer.wrap(
            dump.readBytes(),
        ).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return FloatArray(floats.limit()) { floats[it] }
    }

    private fun write(
        pixels: FloatArray = values,
        tensor: FloatArray = values,
        outputs: FloatArray = shares(),
        first: Int = best(),
    ) {
        val bytes = ByteArray(pixels.size) { pixels[it].toInt().toByte() }
        val order = listOf(first, 1 - first)
        val classes = order.map { JSONObject().put("label", it).put("probability", shares()[it]) }
        val artifact =
            JSONObject()
                .put("artifact", "it")
                .put(
                    "input",
                    tensor("image", "float32", listOf(1, SIDE, SIDE, CHANNELS), raw(tensor)),
                )
                .put("outputs", JSONArray(listOf(output(outputs))))
                .put("classes", JSONArray(classes))
        val expected =
            JSONObject()
                .put("pixels", tensor("pixels", "uint8", listOf(SIDE, SIDE, CHANNELS), bytes))
                .put("artifacts", JSONArray(listOf(artifact)))
        val case =
            JSONObject()
                .put("id", "noise")
                .put("flags", JSONArray(listOf("lossless")))
                .put("file", "noise.png")
                .put("sha256", sha256Of(File(bundle.folder, "golden/noise.png").readBytes()))
                .put("expected", expected)
        val model = sha256Of(SmallBundle.MODEL.toByteArray())
        val index =
            JSONObject()
                .put("schema", "phoneproof.golden/1")
                .put("contract", Contract.parse(SmallBundle.CONTRACT).sha256)
                .put("artifacts", JSONArray(listOf(JSONArray(listOf("it", model)))))
                .put("cases", JSONArray(listOf(case)))
        bundle.write("golden/index.json", index.toString())
    }

    private fun best() = if (shares()[0] >= shares()[1]) 0 else 1

    /** As RedEngines computes them. */
    private fun shares(): FloatArray {
        var red = 0f
        var sum = 1e-6f
        for ((place, value) in values.withIndex()) {
            sum += value
            if (place % CHANNELS == 0) red += value
        }
        return floatArrayOf(red / sum, 1 - red / sum)
    }

    private fun output(values: FloatArray) =
        tensor("probabilities", "float32", listOf(1, values.size), raw(values))

    private fun raw(values: FloatArray): ByteArray {
        val bytes = ByteBuffer.allocate(4 * values.size).order(ByteOrder.LITTLE_ENDIAN)
        bytes.asFloatBuffer().put(values)
        return bytes.array()
    }

    private fun tensor(
        name: String,
        dtype: String,
        shape: List<Int>,
        bytes: ByteArray,
    ): JSONObject {
        File(bundle.folder, "golden/$name.bin").writeBytes(bytes)
        return JSONObject()
            .put("name", name)
            .put("dtype", dtype)
            .put("shape", JSONArray(shape))
            .put("sha256", sha256Of(bytes))
            .put("file", "$name.bin")
            .put("file_sha256", sha256Of(bytes))
            .put("every", 1)
    }

    private companion object {
        const val OPAQUE = 0xff shl 24
    }
}
