package ai.phoneproof.acceleration

import ai.phoneproof.EngineError
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.AcceleratorKind
import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.engine.ModelFile

/** Tries the accelerators of one model. */
internal class AcceleratorSearch(
    private val factory: EngineFactory,
    private val model: ModelFile,
    private val check: GoldenCheck?,
    private val store: SelectionStore,
    private val key: String,
    private val limits: TrialLimits,
) {
    class Found(val engine: GuardedEngine, val trials: List<Trial>)

    private val candidates = factory.candidates

    /** The remembered accelerator where it still is right, else the fastest right one of all. */
    fun choose(): Found {
        val remembered = Remembered.of(store.read(key), candidates)
        val known = remembered.trials.filterNot { it.accelerator.id == remembered.pending }
        if (remembered.isComplete && known.any { it.isRight }) {
            val all =
                known +
                    candidates.filter { one -> known.none { it.accelerator == one } }.map(::untried)
            return reopen(all)
        }
        val crashed = known.filter { it.state == TrialState.CRASHED }.toMutableList()
        candidates.firstOrNull { it.id == remembered.pending }?.let {
            crashed += Trial(it, TrialState.CRASHED, "the app ended while it was tried")
        }
        return reopen(tryAll(crashed))
    }

    /** [trials] without the one that broke. */
    fun without(
        trials: List<Trial>,
        broken: Accelerator,
        failure: AcceleratorFailure,
    ): List<Trial> = trials.map {
        val reason = "in use: ${failure.message}"
        if (it.accelerator == broken) it.copy(state = failure.state, reason = reason) else it
    }

    /**
     * Opens the fastest right one of [trials], and the next one where that fails now.
     *
     * @throws EngineError none is left.
     */
    fun reopen(trials: List<Trial>): Found {
        var left = trials
        while (true) {
            val best = left.filter { it.isRight }.minByOrNull { it.medianMs ?: Double.MAX_VALUE }
            if (best == null) {
                remember(null, left, isComplete = true)
                throw noneLeft(left)
            }
            try {
                val engine = opened(best.accelerator, left)
                left = named(left, best)
                remember(null, left, isComplete = true)
                return Found(engine, left)
            } catch (failure: AcceleratorFailure) {
                left = left.map {
                    if (it == best) {
                        it.copy(state = failure.state, reason = said(failure))
                    } else {
                        it
                    }
                }
            }
        }
    }

    private fun tryAll(crashed: List<Trial>): List<Trial> {
        val trials = crashed.toMutableList()
        for (candidate in candidates) {
            if (crashed.any { it.accelerator == candidate }) continue
            trials += if (check == null && candidate.kind != AcceleratorKind.CPU) {
                untried(candidate)
            } else {
                trial(candidate, trials)
            }
        }
        return trials
    }

    private fun trial(candidate: Accelerator, sofar: List<Trial>): Trial {
        val start = System.nanoTime()
        return try {
            val engine = opened(candidate, sofar)
            val loadMs = millis(System.nanoTime() - start)
            try {
                Trial(candidate, TrialState.SLOWER, loadMs = loadMs, medianMs = median(engine))
            } finally {
                engine.close()
            }
        } catch (failure: AcceleratorFailure) {
            Trial(candidate, failure.state, said(failure))
        }
    }

    /**
     * An engine that gave the golden values. While a delegate is tried the store says so: a driver
     * may end the app. The CPU is spared, since an app may also be ended by its user.
     */
    private fun opened(candidate: Accelerator, sofar: List<Trial>): GuardedEngine {
        val pending = candidate.id.takeIf { candidate.kind != AcceleratorKind.CPU }
        remember(pending, sofar, isComplete = false)
        val engine = GuardedEngine.open(factory, model, candidate, limits)
        try {
            for (golden in check?.inputs.orEmpty()) {
                val outputs = engine.run(golden.input)
                val reason = check?.reasonAgainst(golden, engine.outputs, outputs)
                if (reason != null) throw AcceleratorFailure(TrialState.WRONG, reason, null)
            }
            return engine
        } catch (failure: AcceleratorFailure) {
            engine.close()
            throw failure
        }
    }

    private fun median(engine: GuardedEngine): Double {
        val input = check?.inputs?.first()?.input ?: directBuffer(engine.inputs[0].bytes)
        repeat(limits.warmUpRuns) { engine.run(input) }
        val times = LongArray(limits.timedRuns) {
            val start = System.nanoTime()
            engine.run(input)
            System.nanoTime() - start
        }
        times.sort()
        return millis(times[times.size / 2])
    }

    private fun named(trials: List<Trial>, best: Trial): List<Trial> = trials.map {
        when {
            it == best -> it.copy(state = TrialState.CHOSEN, reason = "")
            it.isRight -> it.copy(state = TrialState.SLOWER, reason = slower(it, best))
            else -> it
        }
    }

    private fun slower(one: Trial, best: Trial): String =
        "%.1f ms an inference, %s takes %.1f".format(
            java.util.Locale.ROOT,
            one.medianMs ?: Double.NaN,
            best.accelerator.title,
            best.medianMs ?: Double.NaN,
        )

    private fun untried(candidate: Accelerator): Trial {
        val reason =
            if (check == null) "no golden vectors to check it with" else "it was not there before"
        return Trial(candidate, TrialState.UNTRIED, reason)
    }

    private fun remember(pending: String?, trials: List<Trial>, isComplete: Boolean) =
        store.write(key, Remembered(pending, trials, isComplete).text())

    private fun said(failure: AcceleratorFailure): String = failure.message.orEmpty()

    private fun noneLeft(trials: List<Trial>): EngineError = EngineError(
        "no accelerator of this device computes the model",
        trials.joinToString("; ") { "${it.accelerator.title}: ${it.reason}" },
        "check that the model file is whole and made for ${factory.name}; " +
            "where values are wrong, run the self-test and keep its results",
    )
}

internal fun millis(nanos: Long): Double = nanos / 1e6

internal fun directBuffer(bytes: Int): java.nio.ByteBuffer = java.nio.ByteBuffer
    .allocateDirect(bytes)
    .order(java.nio.ByteOrder.nativeOrder())
