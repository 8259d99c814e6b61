package ai.phoneproof

import ai.phoneproof.contract.Task
import android.content.Context
import android.graphics.BitmapFactory
import java.io.File
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment

/**
 * Many frames through real bundles, real bitmaps and the real LiteRT library, and as many camera
 * frames with padded rows: memory stays flat, results stay the same. Writes `<run>-memory.json`.
 */
@RunWith(RobolectricTestRunner::class)
class LongRunTest {
    private val frames = Integer.getInteger("phoneproof.frames", 1000)
    private val context: Context get() = RuntimeEnvironment.getApplication()

    @Test
    fun `bitmaps and camera frames leave memory flat`() {
        for (run in BundleRun.all()) {
            val seen = run.open(context).use { measured(it, run) }
            File(BundleRun.out, "${run.name}-memory.json").writeText(seen.toString())
        }
    }

    @Test
    fun `a frame that keeps something is seen`() {
        val kept = ArrayList<ByteArray>()
        val each = MOST_HEAP / frames + 1024
        assertThrows(AssertionError::class.java) {
            flat("leak") {
                kept += ByteArray(each)
                emptyList()
            }
        }
    }

    private fun measured(model: VisionModel, run: BundleRun): JSONObject {
        val isDetector = model.contract.task == Task.DETECT
        val picture = run.expected.maxBy { one ->
            one.result.optJSONArray("detections")?.length() ?: 0
        }
        val bitmap = BitmapFactory.decodeFile(picture.picture.path)
        val camera = CameraFrame(WIDTH, HEIGHT, ROW_STRIDE) { it * 31 shr 4 }
        val bitmaps = flat("${run.name}, bitmaps") {
            if (isDetector) model.detect(bitmap) else model.classify(bitmap)
        }
        val cameras = flat("${run.name}, camera frames") {
            if (isDetector) model.detect(camera, 90) else model.classify(camera, 90)
        }
        return JSONObject()
            .put("frames", frames)
            .put("bitmaps", bitmaps.put("size", "${bitmap.width}x${bitmap.height}"))
            .put("camera", cameras.put("size", "${WIDTH}x$HEIGHT, row stride $ROW_STRIDE"))
    }

    /** Memory at some places of a long run of [frame], which gives the same at its end. */
    private fun flat(name: String, frame: () -> List<Any>): JSONObject {
        val first = frame()
        repeat(WARM_UP) { frame() }
        val samples = ArrayList<Memory>()
        samples += Memory.now()
        var caller = 0L
        var engine = 0L
        var nanos = 0L
        repeat(SAMPLES) {
            val callerBefore = Allocations.ofCaller()
            val engineBefore = Allocations.ofEngine()
            val start = System.nanoTime()
            repeat(frames / SAMPLES) { frame() }
            nanos += System.nanoTime() - start
            caller += Allocations.ofCaller() - callerBefore
            engine += Allocations.ofEngine() - engineBefore
            samples += Memory.now()
        }
        assertEquals(name, first, frame())
        assertFlat("$name: $samples", samples.first(), samples.last())
        return JSONObject()
            .put("results", first.size)
            .put("milliseconds", nanos / 1e6 / frames)
            .put("bytes_caller", caller / frames)
            .put("bytes_engine", engine / frames)
            .put("heap", JSONArray(samples.map { it.heap }))
            .put("direct", JSONArray(samples.map { it.direct }))
            .put("resident", JSONArray(samples.map { it.resident }))
    }

    private fun assertFlat(text: String, before: Memory, after: Memory) {
        assertTrue(text, after.heap - before.heap < MOST_HEAP)
        assertTrue(text, after.direct <= before.direct)
        assertTrue(text, after.resident - before.resident < MOST_RESIDENT)
    }

    private companion object {
        const val WIDTH = 640
        const val HEIGHT = 480
        const val ROW_STRIDE = 672
        const val WARM_UP = 200
        const val SAMPLES = 5
        const val MOST_HEAP = 1_000_000

        /** The JVM's own threads, compiled code and collector move by some. */
        const val MOST_RESIDENT = 24_000_000L
    }
}
