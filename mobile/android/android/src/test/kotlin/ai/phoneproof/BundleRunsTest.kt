package ai.phoneproof

import ai.phoneproof.selftest.SelfTest
import ai.phoneproof.selftest.SelfTestOptions
import ai.phoneproof.testing.LiteRtJna
import ai.phoneproof.thermal.ThermalSource
import ai.phoneproof.thermal.ThermalStatus
import android.content.Context
import java.io.File
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment

/**
 * Bundles that `phoneproof build` made, with real bitmaps and the real LiteRT library: results
 * equal those of `phoneproof run`. Writes `<run>-runs.json` (what was counted),
 * `<run>-device-results.json` and `<run>-pixels.bin`, which Python reads.
 */
@RunWith(RobolectricTestRunner::class)
class BundleRunsTest {
    private lateinit var runs: List<BundleRun>
    private val context: Context get() = RuntimeEnvironment.getApplication()

    @Before
    fun needsRuns() {
        runs = BundleRun.all()
    }

    /** Python judges the counts: all differences of all models are to be seen, not the first. */
    @Test
    fun `results are compared with those of Python`() {
        for (run in runs) {
            val counted = run.open(context).use { compared(it, run) }
            File(BundleRun.out, "${run.name}-runs.json").writeText(counted.toString())
        }
    }

    @Test
    fun `a result that is not Python's is seen`() {
        for (run in runs) {
            run.open(context).use { model ->
                val seen = run.expected.count {
                    model.differenceTo(spoiled(it.result), it.picture).fault != null
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
            val test = SelfTest(
                context,
                ModelFolder.disk(run.bundle),
                run.path,
                LiteRtJna(BundleRun.library),
                options,
                thermal,
            )
            test.write(File(BundleRun.out, "${run.name}-device-results.json"))
        }
    }

    @Test
    fun `the dump of a golden picture is what Python expects`() {
        for (run in runs) {
            val picture = File(run.bundle, "golden/pictures/landscape.png")
            val dump = File(BundleRun.out, "${run.name}-pixels.bin")
            run.open(context).use { it.dumpPixels(picture, dump) }
        }
    }

    /** A score or a probability that is a little greater. */
    private fun spoiled(result: JSONObject): JSONObject {
        val changed = JSONObject(result.toString())
        val detections = changed.optJSONArray("detections")
        if (detections != null && detections.length() > 0) {
            val first = detections.getJSONObject(0)
            first.put("score", first.getDouble("score") + 2 * Difference.SCORE)
        }
        val probabilities = changed.optJSONArray("probabilities") ?: return changed
        val best = changed.getJSONArray("top").getJSONObject(0).getInt("index")
        probabilities.put(best, probabilities.getDouble(best) + 2 * Difference.SCORE)
        return changed
    }

    private fun compared(model: VisionModel, run: BundleRun): JSONObject {
        var managed = 0
        var results = 0
        var score = 0.0
        var pixels = 0.0
        val differing = JSONArray()
        for (one in run.expected) {
            val difference = model.differenceTo(one.result, one.picture)
            val isManaged = one.isColourManaged()
            if (isManaged) managed++
            results += difference.results
            difference.fault?.let {
                val words = JSONObject().put("image", one.picture.name).put("fault", it)
                differing.put(words.put("colour_managed", isManaged))
                continue
            }
            score = maxOf(score, difference.score)
            pixels = maxOf(pixels, difference.pixels)
        }
        return JSONObject()
            .put("images", run.expected.size)
            .put("results", results)
            .put("colour_managed", managed)
            .put("largest_score_difference", score)
            .put("largest_box_difference", pixels)
            .put("differing", differing)
            .put("accelerator", model.acceleratorInUse.title)
    }
}
