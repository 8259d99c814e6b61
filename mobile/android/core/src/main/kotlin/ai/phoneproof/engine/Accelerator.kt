package ai.phoneproof.engine

/** What an engine computes on. GPU and NPU: beside the CPU, which takes what they do not. */
public enum class AcceleratorKind(
    /** As `device-results.json` writes it. */
    public val id: String,
) {
    CPU("cpu"),
    GPU("gpu"),
    NPU("npu"),
}

/**
 * One way to run a model.
 *
 * @property kind what computes.
 * @property name as its maker calls it (`CPU`, `GPU delegate`).
 * @property threads how many threads of the CPU, null where the engine does not let one say.
 * @property precision `float16` where the engine computes with less than the file holds.
 */
public data class Accelerator @JvmOverloads constructor(
    public val kind: AcceleratorKind,
    public val name: String,
    public val threads: Int? = null,
    public val precision: String? = null,
) {
    /** `CPU, 4 threads`. */
    public val title: String
        get() = when (threads) {
            null -> name
            1 -> "$name, 1 thread"
            else -> "$name, $threads threads"
        }

    /** Tells accelerators apart in what is stored: `cpu/CPU/4/`. */
    public val id: String get() = "${kind.id}/$name/${threads ?: ""}/${precision ?: ""}"

    override fun toString(): String = title

    public companion object {
        /** The CPU with so many threads. */
        @JvmStatic
        public fun cpu(threads: Int): Accelerator = Accelerator(AcceleratorKind.CPU, "CPU", threads)

        /** The CPU with 4, 2 and 1 threads: what every engine can offer. */
        @JvmField
        public val CPU_CHOICES: List<Accelerator> = listOf(cpu(4), cpu(2), cpu(1))
    }
}
