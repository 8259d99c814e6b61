package ai.phoneproof

import ai.phoneproof.acceleration.MemoryStore
import ai.phoneproof.acceleration.TrialLimits
import ai.phoneproof.acceleration.TrialState
import ai.phoneproof.contract.Contract
import ai.phoneproof.decode.Classification
import android.content.Context
import android.graphics.Bitmap
import android.graphics.Color
import java.io.File
import java.lang.management.ManagementFactory
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import kotlin.concurrent.thread
import kotlin.coroutines.Continuation
import kotlin.coroutines.EmptyCoroutineContext
import kotlin.coroutines.startCoroutine
import kotlin.math.abs
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment

/** A model from its files to its results, with an engine that only looks at red. */
@RunWith(RobolectricTestRunner::class)
class VisionModelTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private lateinit var bundle: SmallBundle
    private val context: Context get() = RuntimeEnvironment.getApplication()
    private val red = filled(Color.rgb(255, 0, 0))

    @Before
    fun writeBundle() {
        bundle = SmallBundle(temporary.root)
    }

    @Test
    fun `a picture becomes labels, best first`() {
        open().use { model ->
            val best = model.classify(red).first()
            assertEquals("red", best.label)
            assertEquals(1.0, best.score.toDouble(), 1e-5)
            assertEquals("other", model.classify(filled(Color.BLUE)).first().label)
            assertEquals("CPU, 1 thread", model.acceleratorInUse.title)
        }
    }

    @Test
    fun `a raw model gives its tensors`() {
        val contract = SmallBundle.CONTRACT
            .replace("\"classify\"", "\"raw\"")
            .replace("[\"red\", \"other\"]", "[]")
            .replaceAfter("\"decode\": ", "null}")
        bundle.write("contract.json", contract)
        val hash = Contract.parse(contract).sha256
        binding(bundle.binding(contract = hash).replace("\"scores\"", "\"raw\""))
        open().use { model ->
            val tensor = model.raw(red).single()
            assertEquals("probabilities", tensor.name)
            assertEquals(listOf(2), tensor.shape)
            assertEquals(1.0, tensor.values[0].toDouble(), 1e-5)
            assertThrows(ContractError::class.java) { model.classify(red) }
        }
        writeBundle()
        open().use { assertThrows(ContractError::class.java) { it.raw(red) } }
    }

    @Test
    fun `a turn that the caller asks for is made, whatever files' tags count for`() {
        val contract = SmallBundle.CONTRACT.replace("\"exif\"", "\"ignore\"")
        bundle.write("contract.json", contract)
        binding(bundle.binding(contract = Contract.parse(contract).sha256))
        val upright = File(temporary.root, "upright.bin")
        val turned = File(temporary.root, "turned.bin")
        open().use { model ->
            model.dumpPixels(halves(Color.RED, Color.BLACK), upright)
            model.dumpPixels(halves(Color.BLACK, Color.RED), turned, 180)
        }
        assertTrue(upright.readBytes().contentEquals(turned.readBytes()))
    }

    @Test
    fun `missing, altered and foreign files are refused`() {
        val other = "0".repeat(64)
        val cases = listOf<Pair<Class<out PhoneproofError>, () -> Unit>>(
            ModelFileError::class.java to { File(bundle.folder, bundle.path).delete() },
            ModelFileError::class.java to
                { bundle.write(bundle.path, "bytes that stand for a modeL") },
            ModelFileError::class.java to { File(bundle.folder, "contract.json").delete() },
            ContractError::class.java to {
                bundle.write(
                    "contract.json",
                    SmallBundle.CONTRACT.replace("contract/1", "contract/2"),
                )
            },
            BindingError::class.java to { binding(bundle.binding(contract = other)) },
            BindingError::class.java to { binding(bundle.binding(output = "logits")) },
            BindingError::class.java to { binding("no JSON") },
        )
        for ((type, spoil) in cases) {
            writeBundle()
            spoil()
            val engines = RedEngines()
            val error = assertThrows(type) { open(engines) }
            assertTrue("$error", error.failed.isNotEmpty())
        }
    }

    @Test
    fun `unusable pictures and calls are refused, and the model goes on`() {
        val model = open()
        val recycled = filled(Color.RED).apply { recycle() }
        assertThrows(ImageError::class.java) { model.classify(null as Bitmap?) }
        assertThrows(ImageError::class.java) { model.classify(recycled) }
        assertThrows(ImageError::class.java) { model.classify(red, 45) }
        assertThrows(ImageError::class.java) { model.classify(File(temporary.root, "none.jpg")) }
        assertThrows(ContractError::class.java) { model.detect(red) }
        assertEquals("red", model.classify(red, 90).first().label)
        model.close()
    }

    @Test
    fun `after close every call is refused, and the engine is freed`() {
        val engines = RedEngines()
        val model = open(engines)
        model.close()
        model.close()
        assertTrue(engines.isClosed)
        assertThrows(ClosedError::class.java) { model.classify(red) }
        assertThrows(ClosedError::class.java) { model.acceleratorInUse }
        assertTrue(awaited { model.awaitClassify(red) }.exceptionOrNull() is ClosedError)
    }

    @Test
    fun `an engine that breaks in use is an error that says so`() {
        val model = open(RedEngines(breaks = true))
        val error = assertThrows(EngineError::class.java) { repeat(9) { model.classify(red) } }
        assertTrue(error.found, "device lost" in error.found.orEmpty())
        assertThrows(PhoneproofError::class.java) { model.classify(red) }
        model.close()
    }

    @Test
    fun `two threads at once are served one after the other`() {
        val engines = RedEngines(waitMs = 2)
        val model = open(engines)
        val threads = List(4) { number ->
            Thread {
                repeat(10) {
                    val wanted = if (number % 2 == 0) "red" else "other"
                    val picture = filled(if (number % 2 == 0) Color.RED else Color.GREEN)
                    check(model.classify(picture).first().label == wanted)
                }
            }
        }
        var failure: Throwable? = null
        threads.forEach { it.setUncaughtExceptionHandler { _, error -> failure = error } }
        threads.forEach { it.start() }
        threads.forEach { it.join() }
        assertEquals(null, failure)
        assertFalse(engines.overlapped)
        model.close()
    }

    @Test
    fun `the suspending form gives the same, on another thread`() {
        open().use { model ->
            assertEquals("red", awaited { model.awaitClassify(red) }.getOrThrow().first().label)
            assertTrue(awaited { model.awaitClassify(null) }.exceptionOrNull() is ImageError)
        }
    }

    @Test
    fun `a thread that only asks is not kept waiting by a call that is being served`() {
        val engines = RedEngines()
        open(engines).use { model ->
            engines.gate = CountDownLatch(1)
            val served = awaiting { model.awaitClassify(red) }
            check(engines.entered.await(20, TimeUnit.SECONDS)) { "it is not being served" }
            val asked = CountDownLatch(3)
            var second: Awaiting<List<Classification>>? = null
            thread {
                model.acceleratorInUse
                asked.countDown()
                model.whyNot
                asked.countDown()
                second = awaiting { model.awaitClassify(red) }
                asked.countDown()
            }
            val wasFree = asked.await(20, TimeUnit.SECONDS)
            engines.gate.countDown()
            assertTrue("${asked.count} calls waited", wasFree)
            assertEquals("red", served.get().getOrThrow().first().label)
            assertEquals("red", second!!.get().getOrThrow().first().label)
        }
    }

    @Test
    fun `the choice is remembered in the app's preferences`() {
        open(store = null).close()
        val names =
            context.getSharedPreferences("ai.phoneproof.accelerators", Context.MODE_PRIVATE).all
        assertTrue("$names", names.values.single().toString().contains(TrialState.CHOSEN.name))
    }

    @Test
    fun `thousands of frames leave memory flat`() {
        open().use { model ->
            val frames = Integer.getInteger("phoneproof.frames", 2000)
            repeat(200) { model.classify(red) }
            val before = used()
            repeat(frames) { model.classify(red) }
            val grown = used() - before
            assertTrue("$grown bytes more after $frames frames", grown < 4_000_000)
        }
    }

    @Test
    fun `the dump is the tensor alone`() {
        open().use { model ->
            val file = File(temporary.root, "dump.bin")
            model.dumpPixels(red, file)
            val values =
                java.nio.ByteBuffer.wrap(file.readBytes()).order(java.nio.ByteOrder.LITTLE_ENDIAN)
            assertEquals(192, values.limit())
            for (i in 0 until 48) {
                assertTrue(abs(values.getFloat(4 * i) - if (i % 3 == 0) 255f else 0f) < 1e-6)
            }
        }
    }

    private fun binding(text: String) = bundle.write("${bundle.path}.binding.json", text)

    private fun open(
        engines: RedEngines = RedEngines(),
        store: MemoryStore? = MemoryStore(),
    ): VisionModel {
        val options = VisionModelOptions(
            TrialLimits(loadMs = 2000, runMs = 2000, warmUpRuns = 0, timedRuns = 1),
            store = store,
        )
        return VisionModel.fromFile(context, bundle.folder, bundle.path, engines, options)
    }

    private fun filled(color: Int): Bitmap =
        Bitmap.createBitmap(9, 7, Bitmap.Config.ARGB_8888).apply { eraseColor(color) }

    private fun <T> awaited(work: suspend () -> T): Result<T> = awaiting(work).get()

    private fun halves(top: Int, bottom: Int): Bitmap {
        val picture = Bitmap.createBitmap(8, 8, Bitmap.Config.ARGB_8888)
        for (x in 0 until 8) {
            for (y in 0 until 8) picture.setPixel(x, y, if (y < 4) top else bottom)
        }
        return picture
    }

    private fun <T> awaiting(work: suspend () -> T): Awaiting<T> =
        Awaiting<T>().also { work.startCoroutine(it) }

    private class Awaiting<T> : Continuation<T> {
        private val done = CountDownLatch(1)
        private var result: Result<T>? = null
        override val context = EmptyCoroutineContext

        override fun resumeWith(result: Result<T>) {
            this.result = result
            done.countDown()
        }

        fun get(): Result<T> {
            check(done.await(20, TimeUnit.SECONDS)) { "it did not resume" }
            return checkNotNull(result)
        }
    }

    private fun used(): Long {
        repeat(3) {
            System.gc()
            Thread.sleep(20)
        }
        val buffers =
            ManagementFactory.getPlatformMXBeans(java.lang.management.BufferPoolMXBean::class.java)
        val heap = ManagementFactory.getMemoryMXBean().heapMemoryUsage.used
        return heap + buffers.sumOf { it.memoryUsed }
    }
}
