package ai.phoneproof

import ai.phoneproof.acceleration.MemoryStore
import android.content.Context
import android.graphics.Bitmap
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment

/**
 * What a frame allocates from the picture to the boxes, with an engine that allocates nothing: the
 * list of results, and nothing else.
 */
@RunWith(RobolectricTestRunner::class)
class WholePathAllocationTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private val context: Context get() = RuntimeEnvironment.getApplication()
    private val bitmap = Bitmap.createBitmap(160, 120, Bitmap.Config.ARGB_8888)
    private val camera = CameraFrame(160, 120, 192) { it * 31 shr 4 }

    @Test
    fun `a frame allocates its results`() {
        for (found in listOf(0, 1, 8)) {
            val bundle = SmallDetector(temporary.newFolder(), found)
            val options = VisionModelOptions(store = MemoryStore())
            val model = VisionModel.fromFile(context, bundle.folder, bundle.path, bundle, options)
            model.use {
                assertEquals(found, it.detect(bitmap).size)
                val results = EMPTY_LIST + found * RESULT + if (found > 0) ARRAY else 0
                assertAtMost(results, "$found of a bitmap") { it.detect(bitmap) }
                assertAtMost(results, "$found of a camera frame") { it.detect(camera, 90) }
            }
        }
    }

    @Test
    fun `the measurement sees an object`() {
        assertTrue(least(Allocations::ofCaller) { ByteArray(64) } >= 64 * FRAMES)
    }

    private fun assertAtMost(bytes: Int, what: String, frame: () -> Any) {
        val caller = least(Allocations::ofCaller, frame)
        assertTrue("$what: ${caller / FRAMES} bytes a frame", caller <= bytes * FRAMES + NOISE)
        val engine = least(Allocations::ofEngine, frame)
        assertTrue("$what: $engine bytes on the engine's thread", engine <= NOISE)
    }

    /** Bytes of [FRAMES] frames; the least of some tries, as the compiler may count in one. */
    private fun least(allocated: () -> Long, frame: () -> Any): Long {
        repeat(WARM_UP) { kept = frame() }
        return List(TRIES) {
            val before = allocated()
            repeat(FRAMES) { kept = frame() }
            allocated() - before
        }.min()
    }

    /** Where results go, so that no compiler leaves them out. */
    private var kept: Any? = null

    private companion object {
        const val WARM_UP = 1000
        const val FRAMES = 200
        const val TRIES = 5

        /** Bytes of the objects of a 64-bit JVM: an ArrayList, its array, a Detection and a place. */
        const val EMPTY_LIST = 24
        const val ARRAY = 24
        const val RESULT = 40 + 4

        /** Bytes in all that the measurement itself and the compiler may take. */
        const val NOISE = 2000
    }
}
