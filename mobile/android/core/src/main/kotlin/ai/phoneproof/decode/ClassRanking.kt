package ai.phoneproof.decode

import ai.phoneproof.contract.Contract

/** A classifier's classes in order. Scratch is made once. */
internal class ClassRanking(private val levels: RoleLevels, private val contract: Contract) {
    private val named = namedClasses(levels.width, contract)
    private val scores = FloatArray(levels.width)
    private val keys = LongArray(named.size)

    /** Those that have a label, most probable first, equal ones by index, NaN last. */
    fun classes(): List<Classification> {
        levels.activatedRow(0, scores)
        for (i in named.indices) keys[i] = falling(scores[named[i]]) + named[i]
        keys.sort()
        return List(keys.size) { rank ->
            val index = keys[rank].toInt()
            Classification(index, contract.label(index), scores[index])
        }
    }

    /** Smaller for greater scores, in the upper half; 0 and -0 are equal. */
    private fun falling(score: Float): Long {
        if (score.isNaN()) return LAST
        val bits = (score + 0f).toRawBits()
        val rising = if (bits < 0) bits xor Int.MAX_VALUE else bits
        return rising.inv().toLong() shl Int.SIZE_BITS
    }

    private companion object {
        const val LAST = Int.MAX_VALUE.toLong() shl Int.SIZE_BITS
    }
}
