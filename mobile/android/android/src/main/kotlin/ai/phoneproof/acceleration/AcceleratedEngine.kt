package ai.phoneproof.acceleration

import ai.phoneproof.ClosedError
import ai.phoneproof.EngineError
import ai.phoneproof.PhoneproofError
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.Engine
import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.engine.ModelFile
import ai.phoneproof.engine.TensorInfo
import java.nio.ByteBuffer

/**
 * How long an accelerator may take before it counts as hung, and how it is timed.
 *
 * @property loadMs loading and preparing; GPU delegates compile shaders for seconds.
 * @property runMs one inference.
 * @property timedRuns whose median counts, after [warmUpRuns] others.
 */
public data class TrialLimits @JvmOverloads constructor(
    public val loadMs: Long = 30_000,
    public val runMs: Long = 10_000,
    public val warmUpRuns: Int = 1,
    public val timedRuns: Int = 5,
)

/**
 * The fastest accelerator of a device that computes the model rightly, and the way back to the CPU.
 *
 * Accelerators are loaded one at a time, each on a thread of its own with a time limit, checked on
 * the golden inputs, timed and closed; the fastest right one is loaded again and used. What was
 * found is remembered under a key, so that the next start loads and checks that one only. One that
 * throws or hangs later is given up, and the fastest of the remaining right ones takes over.
 *
 * Without golden vectors only the CPU is used: nothing could tell that another one is right.
 *
 * Serves one caller at a time; [acceleratorInUse], [whyNot] and [trials] may be read meanwhile.
 */
public class AcceleratedEngine private constructor(
    private val search: AcceleratorSearch,
    first: AcceleratorSearch.Found,
) : Engine {
    @Volatile private var current: AcceleratorSearch.Found = first

    /** Why nothing serves any more; null while something does. */
    @Volatile private var lost: EngineError? = null

    @Volatile private var isClosed = false

    /** What computes now. */
    public val acceleratorInUse: Accelerator get() = open().accelerator

    /** All others, with the reason against each. */
    public val whyNot: List<Trial> get() = trials.filter { it.state != TrialState.CHOSEN }

    /** Every accelerator, the one in use among them. */
    public val trials: List<Trial> get() = current.trials

    override val name: String get() = open().name
    override val version: String get() = open().version
    override val accelerator: Accelerator get() = acceleratorInUse
    override val inputs: List<TensorInfo> get() = open().inputs
    override val outputs: List<TensorInfo> get() = open().outputs

    /**
     * Runs the model; where the accelerator breaks, the next right one does.
     *
     * @throws EngineError no accelerator is left, or the input has the wrong size.
     * @throws ClosedError after [close].
     */
    @Throws(PhoneproofError::class)
    override fun run(input: ByteBuffer): List<ByteBuffer> {
        requireInput(input)
        while (true) {
            val engine = open()
            try {
                return engine.run(input)
            } catch (failure: AcceleratorFailure) {
                replace(engine, failure)
            }
        }
    }

    override fun close() {
        if (isClosed) return
        isClosed = true
        if (lost == null) current.engine.close()
    }

    private fun replace(broken: GuardedEngine, failure: AcceleratorFailure) {
        broken.close()
        val left = search.without(trials, broken.accelerator, failure)
        try {
            current = search.reopen(left)
        } catch (error: EngineError) {
            lost = error
            throw error
        }
    }

    private fun open(): GuardedEngine {
        if (isClosed) {
            throw ClosedError(
                "the engine is closed",
                nextStep = "open the model again, or call close() after the last use",
            )
        }
        lost?.let { throw EngineError(it.failed, it.found, it.nextStep, it) }
        return current.engine
    }

    private fun requireInput(input: ByteBuffer) {
        val expected = open().inputs[0].bytes
        if (!input.isDirect || input.capacity() != expected) {
            throw EngineError(
                "the input buffer does not fit the model",
                "${input.capacity()} bytes${if (input.isDirect) "" else ", not direct"}",
                "pass a direct buffer of $expected bytes in native byte order",
            )
        }
    }

    public companion object {
        /**
         * Chooses an accelerator, or takes the remembered one.
         *
         * @param check null: only the CPU is tried.
         * @param key of what is remembered: device, model hash, app and engine versions.
         * @throws EngineError no accelerator computes the model rightly; each reason is in `found`.
         */
        @JvmStatic
        @JvmOverloads
        @Throws(PhoneproofError::class)
        public fun open(
            factory: EngineFactory,
            model: ModelFile,
            check: GoldenCheck?,
            store: SelectionStore = MemoryStore(),
            key: String = model.sha256,
            limits: TrialLimits = TrialLimits(),
        ): AcceleratedEngine {
            val search = AcceleratorSearch(factory, model, check, store, key, limits)
            return AcceleratedEngine(search, search.choose())
        }
    }
}
