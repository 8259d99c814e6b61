package ai.phoneproof.acceleration

import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.Engine
import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.engine.ModelFile
import java.nio.ByteBuffer
import java.util.concurrent.CountDownLatch
import org.junit.Assert.assertEquals
import org.junit.Test

/** A delegate that was right when it was chosen, and later does not come back. */
class HangInUseTest {
    private val waking = CountDownLatch(1)

    @Volatile private var hangs = false

    @Test
    fun `the CPU takes over, the frame gets its result, and what hung is closed when it wakes`() {
        val engines = FakeEngines(listOf(GPU, CPU4), waits = mapOf(CPU4 to 100L))
        val factory = Hanging(engines)
        val store = MemoryStore()
        val engine = AcceleratedEngine.open(factory, model, golden(), store, limits = limits)
        assertEquals(GPU, engine.acceleratorInUse)
        hangs = true
        val one = input(1f, 2f, 3f, 4f)
        assertEquals(8f, engine.run(one)[0].getFloat(12), 0f)
        assertEquals(CPU4, engine.acceleratorInUse)
        assertEquals(TrialState.HUNG, engine.whyNot.single().state)
        engine.close()
        assertEquals("the one that hangs", 1, engines.open)
        waking.countDown()
        val end = System.nanoTime() + 10_000_000_000
        while (engines.open > 0 && System.nanoTime() < end) Thread.sleep(10)
        assertEquals(0, engines.open)
    }

    private inner class Hanging(private val engines: EngineFactory) : EngineFactory by engines {
        override fun open(model: ModelFile, accelerator: Accelerator): Engine {
            val engine = engines.open(model, accelerator)
            if (accelerator != GPU) return engine
            return object : Engine by engine {
                override fun run(input: ByteBuffer): List<ByteBuffer> {
                    if (hangs) waking.await()
                    return engine.run(input)
                }
            }
        }
    }
}
