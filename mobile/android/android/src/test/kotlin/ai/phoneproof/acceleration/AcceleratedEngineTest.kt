package ai.phoneproof.acceleration

import ai.phoneproof.ClosedError
import ai.phoneproof.EngineError
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.EngineFactory
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Choosing an accelerator, among engines that lie, throw and hang. */
class AcceleratedEngineTest {
    private val one = input(1f, 2f, 3f, 4f)

    @Test
    fun `the fastest right one is chosen, one being loaded at a time`() {
        val waits = mapOf(GPU to 4L, CPU1 to 40L, CPU4 to 20L)
        val engines = FakeEngines(listOf(GPU, CPU4, CPU1), waits = waits)
        val engine = open(engines)
        assertEquals(GPU, engine.acceleratorInUse)
        assertEquals(1, engines.mostOpen)
        assertEquals(listOf(TrialState.SLOWER, TrialState.SLOWER), engine.whyNot.map { it.state })
        assertTrue(engine.whyNot[0].reason, "GPU takes" in engine.whyNot[0].reason)
        engine.close()
        assertEquals(0, engines.open)
    }

    @Test
    fun `a delegate that fails in any way is passed over for the CPU, and the reason is told`() {
        val expected = mapOf(
            Fault.OPEN_THROWS to (TrialState.FAILED to "not there"),
            Fault.LINKAGE to (TrialState.FAILED to "libgpu"),
            Fault.OPEN_HANGS to (TrialState.HUNG to "loading took longer than 300 ms"),
            Fault.RUN_THROWS to (TrialState.FAILED to "gave up"),
            Fault.RUN_HANGS to (TrialState.HUNG to "an inference took longer"),
            Fault.GARBAGE to (TrialState.WRONG to "dB from the golden values"),
            Fault.NAN to (TrialState.WRONG to "holds NaN"),
            Fault.SHORT_OUTPUT to (TrialState.FAILED to "no whole outputs"),
        )
        for ((fault, outcome) in expected) {
            val waits = mapOf(CPU4 to 40L)
            val engine = open(FakeEngines(listOf(GPU, CPU4), mapOf(GPU to fault), waits))
            assertEquals("$fault", CPU4, engine.acceleratorInUse)
            val trial = engine.whyNot.single()
            assertEquals("$fault", outcome.first, trial.state)
            assertTrue("$fault: ${trial.reason}", outcome.second in trial.reason)
            assertEquals(4f, engine.run(one)[0].getFloat(4), 0f)
            engine.close()
        }
    }

    @Test
    fun `one that answers after it was given up is closed then`() {
        for (fault in listOf(Fault.OPEN_LATE, Fault.RUN_LATE)) {
            val engines = FakeEngines(listOf(GPU, CPU4), mapOf(GPU to fault))
            open(engines).use { assertEquals(TrialState.HUNG, it.whyNot.single().state) }
            val end = System.nanoTime() + 10_000_000_000
            while (engines.open > 0 && System.nanoTime() < end) Thread.sleep(10)
            assertEquals("$fault", 0, engines.open)
        }
    }

    @Test
    fun `where none is left every later call says so, not that it was closed`() {
        val engine = open(FakeEngines(listOf(CPU1), mapOf(CPU1 to Fault.DIES_LATER)))
        val first = assertThrows(EngineError::class.java) { repeat(40) { engine.run(one) } }
        val second = assertThrows(EngineError::class.java) { engine.run(one) }
        assertEquals(first.message, second.message)
        engine.close()
        assertThrows(ClosedError::class.java) { engine.run(one) }
    }

    @Test
    fun `one that breaks in use gives way to the CPU, and the frame gets its result`() {
        val engines =
            FakeEngines(listOf(GPU, CPU4), mapOf(GPU to Fault.DIES_LATER), mapOf(CPU4 to 40L))
        val store = MemoryStore()
        val engine = open(engines, store)
        assertEquals(GPU, engine.acceleratorInUse)
        repeat(40) { assertEquals(8f, engine.run(one)[0].getFloat(12), 0f) }
        assertEquals(CPU4, engine.acceleratorInUse)
        assertEquals("in use: device lost", engine.whyNot.single().reason)
        assertEquals(CPU4, open(engines, store).acceleratorInUse)
    }

    @Test
    fun `where nothing is right the error names every reason`() {
        val faults = mapOf(GPU to Fault.GARBAGE, CPU4 to Fault.OPEN_THROWS)
        val error =
            assertThrows(EngineError::class.java) { open(FakeEngines(listOf(GPU, CPU4), faults)) }
        assertTrue(error.found, "GPU: output doubled" in error.found.orEmpty())
        assertTrue(error.found, "CPU, 4 threads: the CPU is not there" in error.found.orEmpty())
    }

    @Test
    fun `without golden vectors only the CPU is tried`() {
        val engines = FakeEngines(listOf(NPU, GPU, CPU1))
        val engine = AcceleratedEngine.open(engines, model, check = null, limits = limits)
        assertEquals(CPU1, engine.acceleratorInUse)
        assertEquals(setOf(CPU1), engines.opened.toSet())
        assertEquals(listOf(TrialState.UNTRIED, TrialState.UNTRIED), engine.whyNot.map { it.state })
    }

    @Test
    fun `the choice is remembered, checked again, and not believed under another key`() {
        val store = MemoryStore()
        open(FakeEngines(listOf(GPU, CPU1), waits = mapOf(CPU1 to 40L)), store).close()
        val again = FakeEngines(listOf(GPU, CPU1), waits = mapOf(GPU to 40L))
        assertEquals(GPU, open(again, store).acceleratorInUse)
        assertEquals(listOf(GPU), again.opened)
        val wrong = FakeEngines(listOf(GPU, CPU1), mapOf(GPU to Fault.GARBAGE))
        val engine = open(wrong, store)
        assertEquals(CPU1, engine.acceleratorInUse)
        assertEquals(TrialState.WRONG, engine.whyNot.single().state)
        val other = FakeEngines(listOf(GPU, CPU1), waits = mapOf(CPU1 to 40L))
        AcceleratedEngine.open(other, model, golden(), store, "another device", limits).close()
        assertEquals(setOf(GPU, CPU1), other.opened.toSet())
    }

    @Test
    fun `a driver that took the app with it is not tried again`() {
        val store = MemoryStore()
        store.write(model.sha256, Remembered(pending = GPU.id).text())
        val engines = FakeEngines(listOf(GPU, CPU1))
        val engine = open(engines, store)
        assertEquals(CPU1, engine.acceleratorInUse)
        assertEquals(TrialState.CRASHED, engine.whyNot.single().state)
        assertTrue(GPU !in engines.opened)
        engine.close()
        assertEquals(TrialState.CRASHED, open(engines, store).whyNot.single().state)
    }

    @Test
    fun `while a delegate is tried the store says so, and not while the CPU is`() {
        val store = MemoryStore()
        val seen = ArrayList<Pair<Accelerator, String?>>()
        val inner = FakeEngines(listOf(GPU, CPU1))
        val watching = object : EngineFactory by inner {
            override fun open(model: ai.phoneproof.engine.ModelFile, accelerator: Accelerator) =
                inner.open(model, accelerator).also {
                    seen += accelerator to Remembered.of(store.read("abc"), candidates).pending
                }
        }
        AcceleratedEngine.open(watching, model, golden(), store, limits = limits).close()
        val expected = seen.map { (which, _) -> which to which.id.takeIf { which == GPU } }
        assertEquals(expected, seen)
    }

    @Test
    fun `a search that was cut short begins again`() {
        val store = MemoryStore()
        val trials = listOf(Trial(CPU1, TrialState.SLOWER, "", 1.0, 1.0))
        store.write(model.sha256, Remembered(trials = trials).text())
        val engines = FakeEngines(listOf(GPU, CPU1), waits = mapOf(CPU1 to 40L))
        assertEquals(GPU, open(engines, store).acceleratorInUse)
    }

    @Test
    fun `a text that is none of ours was never remembered`() {
        val newer = "phoneproof.accelerators/9\ncomplete\nCHOSEN\t${CPU1.id}\t1\t1\t"
        val broken = listOf("", newer, "phoneproof.accelerators/1\ncomplete\nCHOSEN\tx")
        for (text in broken) {
            val store = MemoryStore().apply { write(model.sha256, text) }
            val engines = FakeEngines(listOf(GPU, CPU1), waits = mapOf(CPU1 to 40L))
            assertEquals(GPU, open(engines, store).acceleratorInUse)
            assertEquals(setOf(GPU, CPU1), engines.opened.toSet())
        }
    }

    @Test
    fun `a closed engine and a wrong buffer are refused`() {
        val engine = open(FakeEngines(listOf(CPU1)))
        assertThrows(EngineError::class.java) { engine.run(directBuffer(8)) }
        assertThrows(EngineError::class.java) { engine.run(java.nio.ByteBuffer.allocate(16)) }
        engine.close()
        engine.close()
        assertThrows(ClosedError::class.java) { engine.run(one) }
    }

    private fun open(engines: FakeEngines, store: SelectionStore = MemoryStore()) =
        AcceleratedEngine.open(engines, model, golden(), store, limits = limits)
}
