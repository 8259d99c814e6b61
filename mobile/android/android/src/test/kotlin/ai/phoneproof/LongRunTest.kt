package ai.phoneproof

import ai.phoneproof.contract.Task
import android.content.Context
import android.graphics.BitmapFactory
import java.io.File
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment

/**
 * Thousands of frames through real bundles, real bitmaps and the real LiteRT library, and as many
 * camera frames with padded rows: memory stays flat, results stay the same. Writes
 * `<run>-memory.json`.
 */
@RunWith(RobolectricTestRunner::class)
class LongRunTest {
    private val frames = Integer.getInteger("phoneproof.frames", 1000)
    private val context: Context get() = RuntimeEnvironment.getApplication()

    @Test
    fun `bitmaps and camera frames leave memory flat`() {
        for (run in BundleRun.all()) {
            run.open(context).use { model ->
                val bitmap = BitmapFactory.decodeFile(run.expected.first().picture.path)
                val camera = CameraFrame(WIDTH, HEIGHT, ROW_STRIDE) { it * 31 shr 4 }
                val isDetector = model.contract.task == Task.DETECT
                val seen =
                    JSONObject()
                        .put("frames", frames)
                        .put(
                            "bitmaps",
                            flat(run.name) {
                                if (isDetector) model.detect(bitmap) else model.classify(bitmap)
                            },
                        ).put(
                            "camera",
                            flat(run.name) {
                                if (isDetector) {
                                    model.detect(camera, 90)
                                } else {
                                    model.classify(camera, 90)
                                }
                            },
                        )
                File(BundleRun.out, "${run.name}-memory.json").writeText(seen.toString())
            }
        }
    }

    /** Memory at some places of a long run of [frame], which gives the same at its end. */
    private fun flat(name: String, frame: () -> List<Any>): JSONObject {
        val first = frame()
        repeat(WARM_UP) { frame() }
        val samples = ArrayList<Memory>()
        samples += Memory.now()
        var caller = 0L
        var engine = 0L
        val start = System.nanoTime()
        repeat(SAMPLES) {
            val callerBefore = Allocations.ofCaller()
            val engineBefore = Allocations.ofEngine()
            repeat(frames / SAMPLES) { frame() }
            caller += Allocations.ofCaller() - callerBefore
            engine += Allocations.ofEngine() - engineBefore
            samples += Memory.now()
        }
        val millis = (System.nanoTime() - start) / 1e6 / frames
        assertEquals(name, first, frame())
        val text = "$name: $samples"
        assertTrue(text, samples.last().heap - samples.first().heap < MOST_HEAP)
        assertTrue(text, samples.last().direct <= samples.first().direct)
        assertTrue(text, samples.last().resident - samples.first().resident < MOST_RESIDENT)
        return JSONObject()
            .put("results", first.size)
            .put("milliseconds", millis)
            .put("bytes_caller", caller / frames)
            .put("bytes_engine", engine / frames)
            .put("heap", JSONArray(samples.map { it.heap }))
            .put("direct", JSONArray(samples.map { it.direct }))
            .put("resident", JSONArray(samples.map { it.resident }))
    }

    private companion object {
        const val WIDTH = 640
        const val HEIGHT = 480
        const val ROW_STRIDE = 672
        const val WARM_UP = 200
        const val SAMPLES = 5
        const val MOST_HEAP = 2_000_000L

        /** The JVM's own threads, compiled code and collector move by some. */
        const val MOST_RESIDENT = 48_000_000L
    }
}
