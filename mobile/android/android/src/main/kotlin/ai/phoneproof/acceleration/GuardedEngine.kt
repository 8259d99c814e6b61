package ai.phoneproof.acceleration

import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.Engine
import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.engine.ModelFile
import ai.phoneproof.engine.TensorInfo
import java.nio.ByteBuffer

/** An accelerator that broke: [state] says how, the message why. */
internal class AcceleratorFailure(val state: TrialState, message: String, cause: Throwable?) :
    Exception(message, cause)

/** An engine on a thread of its own, every call of which has a time limit. */
internal class GuardedEngine private constructor(
    private val thread: EngineThread,
    private val engine: Engine,
    private val limits: TrialLimits,
) {
    val accelerator: Accelerator = engine.accelerator
    val name: String = engine.name
    val version: String = engine.version
    val inputs: List<TensorInfo> = engine.inputs
    val outputs: List<TensorInfo> = engine.outputs

    private var input: ByteBuffer? = null
    private var results: List<ByteBuffer> = emptyList()
    private var isLost = false

    // One object for all runs: a frame allocates nothing here.
    private val runOnce = Runnable { results = engine.run(checkNotNull(input)) }

    /** @throws AcceleratorFailure the engine threw, hung, or gave buffers of the wrong size. */
    fun run(input: ByteBuffer): List<ByteBuffer> {
        this.input = input
        if (!guarded(thread, limits.runMs, runOnce)) {
            isLost = true
            thread.end(engine::close)
            throw hung("an inference", limits.runMs)
        }
        val found = results
        if (!isWhole(found)) {
            throw AcceleratorFailure(TrialState.FAILED, "it gave no whole outputs", null)
        }
        return found
    }

    private fun isWhole(found: List<ByteBuffer>): Boolean {
        if (found.size != outputs.size) return false
        for (i in outputs.indices) {
            if (!found[i].isDirect || found[i].capacity() < outputs[i].bytes) return false
        }
        return true
    }

    /** Closes the engine on its thread; one that hangs is closed where it comes back. */
    fun close() {
        if (isLost) return
        try {
            thread.run(limits.runMs) { engine.close() }
        } catch (_: Throwable) {
            // It is given up either way, and its failure to close helps nobody.
        }
        thread.end()
    }

    companion object {
        /** @throws AcceleratorFailure loading threw or hung. */
        fun open(
            factory: EngineFactory,
            model: ModelFile,
            accelerator: Accelerator,
            limits: TrialLimits,
        ): GuardedEngine {
            val thread = EngineThread("phoneproof ${accelerator.title}")
            var engine: Engine? = null
            val opening = Runnable { engine = factory.open(model, accelerator) }
            val isOpen = try {
                guarded(thread, limits.loadMs, opening)
            } catch (failure: AcceleratorFailure) {
                thread.end()
                throw failure
            }
            if (!isOpen) {
                thread.end { engine?.close() }
                throw hung("loading", limits.loadMs)
            }
            return GuardedEngine(thread, checkNotNull(engine), limits)
        }

        @Suppress("TooGenericExceptionCaught") // the thread hands over whatever an engine threw
        private fun guarded(
            thread: EngineThread,
            limitMs: Long,
            work: Runnable,
        ): Boolean = try {
            thread.run(limitMs, work)
        } catch (error: Throwable) {
            val words = error.message?.lineSequence()?.firstOrNull() ?: error.javaClass.simpleName
            throw AcceleratorFailure(TrialState.FAILED, words, error)
        }

        private fun hung(what: String, limitMs: Long) =
            AcceleratorFailure(TrialState.HUNG, "$what took longer than $limitMs ms", null)
    }
}
