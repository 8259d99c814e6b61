package ai.phoneproof

import ai.phoneproof.acceleration.MemoryStore
import ai.phoneproof.contract.Task
import ai.phoneproof.selftest.SelfTest
import ai.phoneproof.selftest.SelfTestOptions
import ai.phoneproof.testing.LiteRtJna
import ai.phoneproof.thermal.ThermalSource
import ai.phoneproof.thermal.ThermalStatus
import android.content.Context
import android.graphics.BitmapFactory
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import java.io.File
import kotlin.math.abs

/**
 * Bundles that `phoneproof build` made, with real bitmaps and the real LiteRT library: results
 * equal those of `phoneproof run`.
 *
 * `phoneproof.runs` holds a folder a model: `bundle/`, `model.txt` (the file within it), `images/`
 * and `results.json`. What this makes goes to `phoneproof.out`: `<model>-runs.json` (what was
 * counted), `<model>-device-results.json` and `<model>-pixels.bin`, which Python reads.
 */
@RunWith(RobolectricTestRunner::class)
class BundleRunsTest {
    private val library = File(System.getProperty("phoneproof.litert").orEmpty())
    private val runs =
        File(System.getProperty("phoneproof.runs").orEmpty())
            .listFiles {
                it.isDirectory
            }.orEmpty()
    private val out = File(System.getProperty("phoneproof.out").orEmpty())
    private val context: Context get() = RuntimeEnvironment.getApplication()

    @Before
    fun needsRuns() {
        assumeTrue("phoneproof.litert names no library", library.isFile)
        assumeTrue("phoneproof.runs holds no model", runs.isNotEmpty())
        assumeTrue("phoneproof.out is no folder", out.isDirectory)
    }

    @Test
    fun `results equal those of Python`() {
        for (run in runs) {
            open(run).use { model ->
                File(out, "${run.name}-runs.json").writeText(compared(model, run))
            }
        }
    }

    @Test
    fun `a result that is not Python's is seen`() {
        for (run in runs) {
            val expected = JSONArray(File(run, "results.json").readText())
            open(run).use { model ->
                val seen =
                    (0 until expected.length()).count { place ->
                        val one = expected.getJSONObject(place)
                        val image = File(run, "images/" + File(one.getString("image")).name)
                        difference(model, image, spoiled(one.getJSONObject("result"))) != null
                    }
                assertTrue("${run.name}: seen $seen times", seen > 0)
            }
        }
    }

    @Test
    fun `the self-test writes what Python judges`() {
        for (run in runs) {
            val options = SelfTestOptions(warmUpRuns = 1, timedRuns = 5, sustainedSeconds = 0.2)
            val thermal = ThermalSource { ThermalStatus.NONE }
            val test =
                SelfTest(
                    context,
                    ModelFolder.disk(bundle(run)),
                    path(run),
                    LiteRtJna(library),
                    options,
                    thermal,
                )
            test.write(File(out, "${run.name}-device-results.json"))
        }
    }

    @Test
    fun `the dump of a golden picture is what Python expects`() {
        for (run in runs) {
            val picture = File(bundle(run), "golden/pictures/landscape.png")
            open(run).use { it.dumpPixels(picture, File(out, "${run.name}-pixels.bin")) }
        }
    }

    /** A score or a probability that is a little greater. */
    private fun spoiled(result: JSONObject): JSONObject {
        val changed = JSONObject(result.toString())
        val detections = changed.optJSONArray("detections")
        if (detections != null && detections.length() > 0) {
            val first = detections.getJSONObject(0)
            first.put("score", first.getDouble("score") + 2 * SCORE)
        }
        val probabilities = changed.optJSONArray("probabilities")
        probabilities?.put(0, probabilities.getDouble(0) + 2 * SCORE)
        return changed
    }

    private fun bundle(run: File) = File(run, "bundle")

    private fun path(run: File) = File(run, "model.txt").readText().trim()

    private fun open(run: File): VisionModel {
        val options = VisionModelOptions(store = MemoryStore())
        return VisionModel.fromFile(context, bundle(run), path(run), LiteRtJna(library), options)
    }

    private fun compared(
        model: VisionModel,
        run: File,
    ): String {
        var equal = 0
        var managed = 0
        var differing = 0
        val results = JSONArray(File(run, "results.json").readText())
        for (place in 0 until results.length()) {
            val expected = results.getJSONObject(place)
            val image = File(run, "images/" + File(expected.getString("image")).name)
            val difference = difference(model, image, expected.getJSONObject("result"))
            if (isColourManaged(image)) managed++
            if (difference == null) {
                equal++
            } else {
                differing++
                assertTrue("${run.name}, ${image.name}: $difference", isColourManaged(image))
            }
        }
        assertTrue("${run.name}: no pictures", results.length() > 0)
        return JSONObject()
            .put("images", results.length())
            .put("equal", equal)
            .put("colour_managed", managed)
            .put("differing", differing)
            .put("accelerator", model.acceleratorInUse.title)
            .toString()
    }

    private fun isColourManaged(image: File): Boolean {
        val bitmap = BitmapFactory.decodeFile(image.path)
        return bitmap.colorSpace?.isSrgb == false
    }

    /** Null where a picture's results are Python's. */
    private fun difference(
        model: VisionModel,
        image: File,
        expected: JSONObject,
    ): String? =
        if (model.contract.task ==
            Task.DETECT
        ) {
            boxes(model, image, expected)
        } else {
            classes(model, image, expected)
        }

    private fun boxes(
        model: VisionModel,
        image: File,
        expected: JSONObject,
    ): String? {
        val wanted = expected.getJSONArray("detections")
        val found = model.detect(image)
        if (found.size !=
            wanted.length()
        ) {
            return "${found.size} instead of ${wanted.length()} detections"
        }
        for ((place, one) in found.withIndex()) {
            val other = wanted.getJSONObject(place)
            if (one.classIndex !=
                other.getInt("index")
            ) {
                return "detection $place is a ${one.classIndex}"
            }
            if (abs(one.score - other.getDouble("score")) >
                SCORE
            ) {
                return "detection $place has score ${one.score}"
            }
            val sides = listOf(one.left, one.top, one.right, one.bottom)
            val far =
                sides.indices.maxOf {
                    abs(
                        sides[it] - other.getJSONArray("box").getDouble(it),
                    )
                }
            if (far > PIXELS) return "detection $place is $far px away"
        }
        return null
    }

    private fun classes(
        model: VisionModel,
        image: File,
        expected: JSONObject,
    ): String? {
        val probabilities = expected.getJSONArray("probabilities")
        val found = model.classify(image)
        for (one in found) {
            val far = abs(one.score - probabilities.getDouble(one.classIndex))
            if (far > SCORE) return "class ${one.classIndex} has ${one.score}"
        }
        val best = expected.getJSONArray("top").getJSONObject(0).getInt("index")
        return if (found.first().classIndex ==
            best
        ) {
            null
        } else {
            "the best is ${found.first().classIndex}"
        }
    }

    private companion object {
        const val SCORE = 1e-6
        const val PIXELS = 1e-4
    }
}
