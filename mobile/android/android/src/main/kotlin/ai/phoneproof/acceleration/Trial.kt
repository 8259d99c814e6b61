package ai.phoneproof.acceleration

import ai.phoneproof.engine.Accelerator

/** What became of one accelerator. */
public enum class TrialState {
    /** In use. */
    CHOSEN,

    /** Right, but another one was faster. */
    SLOWER,

    /** It gave other values than the golden ones. */
    WRONG,

    /** Loading or running threw. */
    FAILED,

    /** It did not answer within the time limit. */
    HUNG,

    /** The app ended while it was being tried. */
    CRASHED,

    /** Nothing to check it with, or not asked for. */
    UNTRIED,
}

/**
 * One accelerator and what was found out about it.
 *
 * @property reason one line for people; empty where it was chosen.
 * @property loadMs loading and preparing, null where that did not end.
 * @property medianMs of one inference, null where none was timed.
 */
public data class Trial(
    public val accelerator: Accelerator,
    public val state: TrialState,
    public val reason: String = "",
    public val loadMs: Double? = null,
    public val medianMs: Double? = null,
) {
    /** Whether it may be used: its values were right. */
    internal val isRight: Boolean get() = state == TrialState.CHOSEN || state == TrialState.SLOWER
}
