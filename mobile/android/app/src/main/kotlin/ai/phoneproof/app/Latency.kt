package ai.phoneproof.app

/** How long the last pictures took. Safe for several threads. */
class Latency {
    private val nanos = LongArray(KEPT)
    private var count = 0

    /** Percentiles in milliseconds, of [runs] pictures. */
    data class Summary(val p50: Double, val p95: Double, val runs: Int)

    @Synchronized
    fun add(duration: Long) {
        nanos[count++ % KEPT] = duration
    }

    @Synchronized
    fun clear() {
        count = 0
    }

    /** Null before the first picture. */
    @Synchronized
    fun summary(): Summary? {
        val runs = minOf(count, KEPT)
        if (runs == 0) return null
        val sorted = nanos.copyOf(runs).apply { sort() }
        return Summary(millis(sorted[runs / 2]), millis(sorted[runs * 95 / 100]), runs)
    }

    companion object {
        private const val KEPT = 200

        fun millis(nanos: Long): Double = nanos / 1e6
    }
}
