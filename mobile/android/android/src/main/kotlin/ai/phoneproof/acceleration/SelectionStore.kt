package ai.phoneproof.acceleration

import ai.phoneproof.engine.Accelerator

/** Where the choice is remembered between starts of the app. */
public interface SelectionStore {
    /** The text stored under [key], null where there is none. */
    public fun read(key: String): String?

    /** Stores [text]; on disk before this returns, so that it outlives a crash of the next line. */
    public fun write(key: String, text: String)
}

/** Remembers nothing beyond itself. */
public class MemoryStore : SelectionStore {
    private val texts = HashMap<String, String>()

    override fun read(key: String): String? = texts[key]

    override fun write(key: String, text: String) {
        texts[key] = text
    }
}

/**
 * What is known of the accelerators of one model on one device.
 *
 * @property pending the one that is being tried: found here at the next start, it took the app
 *   with it.
 * @property isComplete every accelerator was tried, and the choice stands.
 */
internal data class Remembered(
    val pending: String? = null,
    val trials: List<Trial> = emptyList(),
    val isComplete: Boolean = false,
) {
    /** One line a fact; tabs apart, since no name holds one. */
    fun text(): String = buildString {
        append(HEAD).append('\n')
        if (pending != null) append(PENDING).append(pending).append('\n')
        if (isComplete) append(COMPLETE).append('\n')
        for (trial in trials) {
            val reason = trial.reason.replace(Regex("[\\t\\n\\r]+"), " ")
            append(trial.state.name).append('\t').append(trial.accelerator.id).append('\t')
            append(trial.loadMs ?: "").append('\t').append(trial.medianMs ?: "").append('\t')
            append(reason).append('\n')
        }
    }

    companion object {
        private const val HEAD = "phoneproof.accelerators/1"
        private const val PENDING = "pending\t"
        private const val COMPLETE = "complete"
        private const val FIELDS = 5

        /** Reads [text] about [candidates]; whatever cannot be read was never known. */
        fun of(text: String?, candidates: List<Accelerator>): Remembered {
            val lines = text.orEmpty().lines()
            if (lines.first() != HEAD) return Remembered()
            val pending = lines.firstOrNull { it.startsWith(PENDING) }?.removePrefix(PENDING)
            return Remembered(
                pending,
                lines.mapNotNull { trial(it, candidates) },
                COMPLETE in lines,
            )
        }

        private fun trial(line: String, candidates: List<Accelerator>): Trial? {
            val fields = line.split('\t')
            if (fields.size != FIELDS) return null
            val state = TrialState.entries.firstOrNull { it.name == fields[0] } ?: return null
            val accelerator = candidates.firstOrNull { it.id == fields[1] } ?: return null
            val (load, median) = fields.subList(2, 4).map { it.toDoubleOrNull() }
            return Trial(accelerator, state, fields[4], load, median)
        }
    }
}
