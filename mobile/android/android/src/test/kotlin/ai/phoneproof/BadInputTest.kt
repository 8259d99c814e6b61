package ai.phoneproof

import ai.phoneproof.acceleration.MemoryStore
import ai.phoneproof.acceleration.TrialLimits
import ai.phoneproof.image.inMemory
import android.content.Context
import android.graphics.Bitmap
import android.graphics.Color
import android.media.Image
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment

/** What apps do to an open model: huge and odd pictures, closing it under a call, for long. */
@RunWith(RobolectricTestRunner::class)
class BadInputTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private lateinit var bundle: SmallBundle
    private val context: Context get() = RuntimeEnvironment.getApplication()
    private val red = Bitmap.createBitmap(9, 7, Bitmap.Config.ARGB_8888).apply {
        eraseColor(Color.RED)
    }

    @Before
    fun writeBundle() {
        bundle = SmallBundle(temporary.root)
    }

    @Test
    fun `rows of a camera frame may be padded, and the padding is not looked at`() {
        open().use { model ->
            val scores = listOf(640, 641, 672, 1024).map { stride ->
                model.classify(CameraFrame(640, 480, stride) { it * 31 shr 4 }, 90)
            }
            assertEquals(setOf(scores.first()), scores.toSet())
            val other = model.classify(CameraFrame(640, 480, 672) { it * 37 shr 3 }, 90)
            assertNotEquals(scores.first(), other)
        }
    }

    @Test
    fun `pictures without pixels or with too many are refused, and the model goes on`() {
        open().use { model ->
            // 9460 x 9460 is the first square beyond the limit.
            val huge = Bitmap.createBitmap(9460, 9460, Bitmap.Config.ARGB_8888)
            val error = assertThrows(ImageError::class.java) { model.classify(huge) }
            huge.recycle()
            assertTrue(error.failed, "too large" in error.failed)
            for ((width, height) in listOf(0 to 0, 0 to 480, 640 to 0, 60_000 to 60_000)) {
                val frame = Sized(CameraFrame(4, 4, 4) { 0 }, width, height)
                assertThrows(ImageError::class.java) { model.classify(frame, 0) }
            }
            assertEquals("red", model.classify(red).first().label)
        }
    }

    @Test
    fun `a picture that memory does not hold is an error that says so`() {
        val error = assertThrows(ImageError::class.java) {
            inMemory { throw OutOfMemoryError("Failed to allocate 200000000 bytes") }
        }
        assertTrue(error.failed, "memory" in error.failed)
        assertTrue("${error.nextStep}", "smaller" in error.nextStep.orEmpty())
    }

    @Test
    fun `closing waits for the call that is being served`() {
        val engines = RedEngines(waitMs = 30)
        val model = open(engines)
        val started = CountDownLatch(1)
        var outcome: Result<String>? = null
        val caller = Thread {
            started.countDown()
            outcome = runCatching { model.classify(red).first().label }
        }
        caller.start()
        started.await()
        Thread.sleep(10)
        model.close()
        caller.join()
        // It was served whole, or came too late.
        val found = checkNotNull(outcome)
        assertTrue("$found", found.getOrNull() == "red" || found.exceptionOrNull() is ClosedError)
        assertEquals(0, engines.inside)
        assertTrue(engines.isClosed)
    }

    @Test
    fun `models that are opened and closed leave no thread and no memory behind`() {
        fun once() = open().use { it.classify(red) }
        // Other tests of this process may have left some.
        val others = engineThreads()
        repeat(50) { once() }
        val before = Memory.now()
        repeat(300) { once() }
        val end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20)
        while (!others.containsAll(engineThreads()) && System.nanoTime() < end) Thread.sleep(10)
        assertEquals(emptySet<Thread>(), engineThreads() - others)
        val after = Memory.now()
        assertTrue("$before $after", after.heap - before.heap < 1_000_000)
        assertTrue("$before $after", after.direct <= before.direct)
    }

    private fun engineThreads(): Set<Thread> =
        Thread.getAllStackTraces().keys.filter { it.name.startsWith("phoneproof") }.toSet()

    private fun open(engines: RedEngines = RedEngines()): VisionModel {
        val limits = TrialLimits(loadMs = 2000, runMs = 2000, warmUpRuns = 0, timedRuns = 1)
        val options = VisionModelOptions(limits, store = MemoryStore())
        return VisionModel.fromFile(context, bundle.folder, bundle.path, engines, options)
    }

    /** A frame that says it has another size. */
    private class Sized(
        private val frame: Image,
        private val width: Int,
        private val height: Int,
    ) : Image() {
        override fun getFormat() = frame.format

        override fun getWidth() = width

        override fun getHeight() = height

        override fun getTimestamp() = 0L

        override fun getTransform() = 0

        override fun getScalingMode() = 0

        override fun getPlanes(): Array<Plane> = frame.planes

        override fun close() = frame.close()
    }
}
