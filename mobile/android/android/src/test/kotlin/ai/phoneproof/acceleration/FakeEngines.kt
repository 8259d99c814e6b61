package ai.phoneproof.acceleration

import ai.phoneproof.EngineError
import ai.phoneproof.contract.DType
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.AcceleratorKind
import ai.phoneproof.engine.Engine
import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.engine.ModelFile
import ai.phoneproof.engine.TensorInfo
import java.nio.ByteBuffer
import java.util.concurrent.CountDownLatch

/** Doubles its four numbers, in the way that it is told to fail. */
internal enum class Fault {
    NONE,
    OPEN_THROWS,
    OPEN_HANGS,
    OPEN_LATE,
    RUN_THROWS,
    RUN_HANGS,
    RUN_LATE,
    GARBAGE,
    NAN,
    SHORT_OUTPUT,
    LINKAGE,

    /** Right for the first runs, then it throws. */
    DIES_LATER,
}

internal val NPU = Accelerator(AcceleratorKind.NPU, "NPU")
internal val GPU = Accelerator(AcceleratorKind.GPU, "GPU")
internal val CPU4 = Accelerator.cpu(4)
internal val CPU1 = Accelerator.cpu(1)

/** Opens fake engines and counts them. [faults]: by accelerator; [waits]: of each run, in ms. */
internal class FakeEngines(
    override val candidates: List<Accelerator>,
    private val faults: Map<Accelerator, Fault> = emptyMap(),
    private val waits: Map<Accelerator, Long> = emptyMap(),
    private val diesAfter: Int = 20,
) : EngineFactory {
    override val name: String = "fake"
    val opened = ArrayList<Accelerator>()

    @Volatile var open = 0
    var mostOpen = 0
    private val never = CountDownLatch(1)

    override fun open(model: ModelFile, accelerator: Accelerator): Engine {
        opened += accelerator
        when (faults[accelerator]) {
            Fault.OPEN_THROWS -> throw EngineError(
                "the ${accelerator.name} is not there",
                "no driver",
            )

            Fault.OPEN_HANGS -> never.await()

            Fault.OPEN_LATE -> Thread.sleep(2 * limits.loadMs)

            Fault.LINKAGE -> throw UnsatisfiedLinkError("no libgpu.so")

            else -> Unit
        }
        open++
        mostOpen = maxOf(mostOpen, open)
        return FakeEngine(accelerator)
    }

    private inner class FakeEngine(override val accelerator: Accelerator) : Engine {
        override val name = "fake"
        override val version = "1"
        override val inputs = listOf(TensorInfo("image", DType.FLOAT32, listOf(1, 4)))
        override val outputs = listOf(TensorInfo("doubled", DType.FLOAT32, listOf(1, 4)))
        private val result = listOf(directBuffer(16))
        private val short = listOf(directBuffer(8))
        private var runs = 0
        private var isClosed = false

        override fun run(input: ByteBuffer): List<ByteBuffer> {
            check(!isClosed) { "closed" }
            runs++
            waits[accelerator]?.let { Thread.sleep(it) }
            val fault = faults[accelerator]
            when {
                fault == Fault.RUN_THROWS -> error("the driver gave up")
                fault == Fault.RUN_HANGS -> never.await()
                fault == Fault.RUN_LATE -> Thread.sleep(2 * limits.runMs)
                fault == Fault.DIES_LATER && runs > diesAfter -> error("device lost")
                fault == Fault.SHORT_OUTPUT -> return short
            }
            for (i in 0 until 4) {
                val right = 2 * input.getFloat(4 * i)
                val value = when (fault) {
                    Fault.GARBAGE -> 7f - right
                    Fault.NAN -> Float.NaN
                    else -> right
                }
                result[0].putFloat(4 * i, value)
            }
            return result
        }

        override fun close() {
            if (!isClosed) open--
            isClosed = true
        }
    }
}

internal val model = ModelFile(directBuffer(4), "abc", null)

internal fun input(vararg values: Float): ByteBuffer =
    directBuffer(4 * values.size).also { buffer ->
        values.forEachIndexed { index, value -> buffer.putFloat(4 * index, value) }
    }

/** What a right engine gives for 1, 2, 3, 4. */
internal fun golden(): GoldenCheck {
    val doubled = GoldenOutput("doubled", 1, doubleArrayOf(2.0, 4.0, 6.0, 8.0))
    return GoldenCheck(listOf(GoldenInput(input(1f, 2f, 3f, 4f), listOf(doubled))))
}

internal val limits = TrialLimits(loadMs = 300, runMs = 300, timedRuns = 3)
