package ai.phoneproof.thermal

/** How hot the device says it is; Android's levels. [UNKNOWN] before Android 10. */
public enum class ThermalStatus(
    /** As `device-results.json` writes it. */
    public val id: String,
) {
    NONE("nominal"),
    LIGHT("fair"),
    MODERATE("fair"),
    SEVERE("serious"),
    CRITICAL("critical"),
    EMERGENCY("critical"),
    SHUTDOWN("critical"),
    UNKNOWN("unknown"),
}

/** Where the thermal status comes from. */
public fun interface ThermalSource {
    /** The status now; asked once a second. */
    public fun status(): ThermalStatus
}

/**
 * How many frames a second are allowed.
 *
 * @property framesPerSecond at each status; one that is missing is that of the next cooler one.
 * @property slowdown a frame that takes so many times what the first ones took counts as
 *   throttling, whatever the status says.
 * @property slowedFramesPerSecond at most, while the model is slowed down.
 */
public data class ThermalPolicy @JvmOverloads constructor(
    public val framesPerSecond: Map<ThermalStatus, Double> =
        mapOf(
            ThermalStatus.NONE to 30.0,
            ThermalStatus.MODERATE to 15.0,
            ThermalStatus.SEVERE to 5.0,
            ThermalStatus.CRITICAL to 1.0,
            ThermalStatus.EMERGENCY to 0.0,
        ),
    public val slowdown: Double = 1.5,
    public val slowedFramesPerSecond: Double = 10.0,
) {
    init {
        require(slowdown > 1) { "slowdown must be greater than 1" }
        val rates = framesPerSecond.values + slowedFramesPerSecond
        require(rates.all { it.isFinite() && it >= 0 }) { "frame rates must be 0 or more" }
        require(ThermalStatus.NONE in framesPerSecond) { "the rate at NONE is missing" }
    }

    /** The rate at [status] alone. */
    internal fun at(status: ThermalStatus): Double {
        if (status == ThermalStatus.UNKNOWN) return framesPerSecond.getValue(ThermalStatus.NONE)
        var known = status
        while (known !in framesPerSecond) known = ThermalStatus.entries[known.ordinal - 1]
        return framesPerSecond.getValue(known)
    }
}

/**
 * What the governor decided.
 *
 * @property isSlowed the model takes longer than it did, by [ThermalPolicy.slowdown].
 * @property framesPerSecond allowed now; 0: pause.
 */
public data class ThermalState(
    public val status: ThermalStatus,
    public val isSlowed: Boolean,
    public val framesPerSecond: Double,
)

/**
 * Lowers the frame rate of a live camera while the device is hot or the model has become slower.
 * Ask [admits] for every frame, and tell [ran] how long it took. One thread at a time.
 *
 * @param onChange told of every new [ThermalState], on the thread that calls [admits] or [ran].
 */
public class ThermalGovernor @JvmOverloads constructor(
    private val source: ThermalSource,
    private val policy: ThermalPolicy = ThermalPolicy(),
    private val onChange: (ThermalState) -> Unit = {},
) {
    private val first = LongArray(WINDOW)
    private val recent = LongArray(WINDOW)
    private val sorted = LongArray(WINDOW)
    private var count = 0L
    private var baseline = 0L
    private var next = Long.MIN_VALUE
    private var askAgain = Long.MIN_VALUE

    /** What holds now. */
    public var state: ThermalState =
        ThermalState(ThermalStatus.NONE, false, policy.at(ThermalStatus.NONE))
        private set

    /**
     * Whether the frame that comes at [nanos] (of `System.nanoTime`, or the frame's own
     * timestamp) should be run. Frames that are not run should be closed at once.
     */
    public fun admits(nanos: Long): Boolean {
        if (nanos >= askAgain) {
            askAgain = nanos + NANOS_PER_SECOND.toLong()
            update(source.status(), state.isSlowed)
        }
        val rate = state.framesPerSecond
        if (rate == 0.0) return false
        val gap = (NANOS_PER_SECOND / rate).toLong()
        if (next != Long.MIN_VALUE && nanos < next - gap / EARLY) return false
        // A late frame starts a new rhythm; an early one keeps it, or a 30 Hz camera would
        // lose every second frame to the jitter of its clock.
        next = if (next == Long.MIN_VALUE || nanos > next + gap) nanos + gap else next + gap
        return true
    }

    /** One frame took [nanos] from its pixels to its results. */
    public fun ran(nanos: Long) {
        val place = (count % WINDOW).toInt()
        if (count < WINDOW) first[place] = nanos
        recent[place] = nanos
        count++
        if (count == WINDOW.toLong()) baseline = median(first)
        if (count <= WINDOW) return
        val isSlow = median(recent) > baseline * policy.slowdown
        update(state.status, isSlow)
    }

    private fun update(status: ThermalStatus, isSlowed: Boolean) {
        if (status == state.status && isSlowed == state.isSlowed) return
        val allowed = policy.at(status)
        val rate = if (isSlowed) minOf(allowed, policy.slowedFramesPerSecond) else allowed
        next = Long.MIN_VALUE
        state = ThermalState(status, isSlowed, rate)
        onChange(state)
    }

    private fun median(values: LongArray): Long {
        values.copyInto(sorted)
        sorted.sort()
        return sorted[WINDOW / 2]
    }

    private companion object {
        const val WINDOW = 15
        const val NANOS_PER_SECOND = 1e9

        /** A frame may come this part of a gap too early. */
        const val EARLY = 4
    }
}
