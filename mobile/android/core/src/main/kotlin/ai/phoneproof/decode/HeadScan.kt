package ai.phoneproof.decode

import ai.phoneproof.contract.Activation
import ai.phoneproof.contract.Binding
import ai.phoneproof.contract.Contract
import ai.phoneproof.contract.Role
import kotlin.math.ln

/** What a detector's head gives as candidates. */
internal interface CandidateSource {
    /** Adds every candidate with a score greater than [confidence], by anchor, then class. */
    fun collect(confidence: Float, multiLabel: Boolean, into: Candidates)
}

/**
 * A head of boxes and scores, with objectness or without. Few anchors pass: one pass over the
 * scores as they lie finds them, and only they are activated, multiplied and decoded.
 */
internal class HeadScan(contract: Contract, binding: Binding, tensors: TensorCache) :
    CandidateSource {
    private val boxes = BoxReader(binding, tensors)
    private val scores = RoleLevels.of(binding, Role.SCORES, tensors)
    private val objectness = if (binding.outputs.any { it.role == Role.OBJECTNESS }) {
        RoleLevels.of(binding, Role.OBJECTNESS, tensors)
    } else {
        null
    }

    /** A factor of at most 1 can be told only where an activation bounds it. */
    private val isFactorBounded =
        objectness == null || objectness.levels.all { it.activation == Activation.SIGMOID }
    private val named: IntArray
    private val flags = BooleanArray(scores.rows)
    private val row = FloatArray(scores.width)
    private val box = FloatArray(4)

    init {
        scores.requireRowsOf(boxes.levels)
        objectness?.requireRowsOf(boxes.levels)
        objectness?.requireWidth(1)
        requireLabels(scores.width, contract)
        named = namedClasses(scores.width, contract)
    }

    override fun collect(confidence: Float, multiLabel: Boolean, into: Candidates) {
        if (named.isEmpty()) return
        flag(confidence)
        for (anchor in flags.indices) {
            if (flags[anchor] && passes(anchor, confidence) && boxes.read(anchor, box, 0)) {
                add(confidence, multiLabel, into)
            }
        }
    }

    /** Marks every anchor that may pass; a few more than do. */
    private fun flag(confidence: Float) {
        flags.fill(false)
        scores.levels.forEachLevel { level, rows ->
            val first = scores.starts[level]
            val limit = limit(rows.activation, confidence)
            if (limit.isNaN()) {
                flags.fill(true, first, first + rows.rows)
            } else {
                rows.flagAbove(limit, named, flags, first)
            }
        }
    }

    private inline fun List<RoleRows>.forEachLevel(work: (Int, RoleRows) -> Unit) {
        for (level in indices) work(level, this[level])
    }

    /** What a value before its activation must exceed; NaN where that cannot be said. */
    private fun limit(activation: Activation, confidence: Float): Float = when {
        !isFactorBounded -> Float.NaN
        activation == Activation.NONE -> confidence
        activation == Activation.SOFTMAX -> Float.NaN
        confidence <= 0f || confidence >= 1f -> if (confidence <= 0f) Float.NaN else confidence
        else -> (ln(confidence / (1.0 - confidence)) - LOGIT_SLACK).toFloat()
    }

    /** Reads the row's scores into [row]; true where its best named one is over the threshold. */
    private fun passes(anchor: Int, confidence: Float): Boolean {
        val factor = if (objectness == null) 1f else objectness.activated(anchor, 0)
        if (factor == 0f && objectness != null) return false
        scores.activatedRow(anchor, row)
        var best = Float.NEGATIVE_INFINITY
        for (column in named) {
            if (objectness != null) row[column] = row[column] * factor
            // maxOf keeps NaN: an anchor with a NaN score is no candidate.
            best = maxOf(best, row[column])
        }
        return best > confidence
    }

    private fun add(confidence: Float, multiLabel: Boolean, into: Candidates) {
        if (multiLabel) {
            for (column in named) {
                if (row[column] > confidence) into.add(column, row[column], box)
            }
            return
        }
        var best = named[0]
        for (column in named) if (row[column] > row[best]) best = column
        into.add(best, row[best], box)
    }

    private companion object {
        /** Far more than the rounding of exp and of the logarithm together. */
        const val LOGIT_SLACK = 1e-3
    }
}

/** The classes that have a label, all where the contract has no null among its labels. */
internal fun namedClasses(count: Int, contract: Contract): IntArray = (0 until count)
    .filter { contract.labels.isEmpty() || contract.labels[it] != null }
    .toIntArray()
