package ai.phoneproof.decode

import ai.phoneproof.BindingError
import ai.phoneproof.OutputError
import ai.phoneproof.contract.Binding
import ai.phoneproof.contract.Contract
import ai.phoneproof.contract.Role
import kotlin.math.abs

private const val MOST_CLASSES = 32_768

/** Quantised files give 3.9999 for 4; a class half way to the next is none. */
private const val ODD = 0.1f
private const val LARGEST = 2_147_483_648f

/** Detections that the file itself chose: one score and the number of its class a row. */
internal class FinalRows(private val contract: Contract, binding: Binding, tensors: TensorCache) :
    CandidateSource {
    private val boxes = BoxReader(binding, tensors)
    private val scores = column(binding, Role.SCORES, tensors)
    private val classes = column(binding, Role.CLASSES, tensors)
    private val count = if (binding.outputs.any { it.role == Role.COUNT }) {
        oneLevel(binding, Role.COUNT, tensors)
    } else {
        null
    }
    private val offset = binding.outputs.first { it.role == Role.CLASSES }.classOffset
    private val box = FloatArray(4)

    private fun column(binding: Binding, role: Role, tensors: TensorCache): RoleLevels {
        val column = oneLevel(binding, role, tensors)
        column.requireRowsOf(boxes.levels)
        column.requireWidth(1)
        return column
    }

    override fun collect(confidence: Float, multiLabel: Boolean, into: Candidates) {
        val rows = if (count == null) boxes.levels.rows else counted(count)
        for (row in 0 until rows) checkClass(classes.activated(row, 0))
        for (row in 0 until rows) {
            val score = scores.activated(row, 0)
            val label = labelOf(classes.activated(row, 0), score)
            if (label < 0 || !(score > confidence)) continue
            if (contract.labels.isNotEmpty() && contract.labels[label] == null) continue
            if (boxes.read(row, box, 0)) into.add(label, score, box)
        }
    }

    private fun counted(count: RoleLevels): Int {
        val most = boxes.levels.rows
        val value = if (count.rows == 1 && count.width == 1) count.activated(0, 0) else Float.NaN
        if (!(value >= 0f && value <= most && value == rounded(value))) {
            throw OutputError(
                "the number of detections makes no sense",
                "$value for $most rows",
                "check which output holds the count",
            )
        }
        return value.toInt()
    }

    private fun checkClass(value: Float) {
        if (!(abs(value - rounded(value)) < ODD && abs(value) < LARGEST)) {
            throw OutputError(
                "a detection's class is not a whole number",
                "$value",
                "check which column of the output holds the class",
            )
        }
        val whole = rounded(value).toInt()
        if (whole >= 0 && whole.toLong() + offset < 0) {
            throw OutputError(
                "the class offset of the binding makes a class negative",
                "class $whole, offset $offset",
                "correct the class offset",
            )
        }
    }

    /** The label's index; -1 for padding. */
    private fun labelOf(value: Float, score: Float): Int {
        val whole = rounded(value).toLong()
        if (whole < 0 || score == 0f) return -1
        val label = whole + offset
        val labels = if (contract.labels.isEmpty()) MOST_CLASSES else contract.labels.size
        if (label >= labels) {
            throw OutputError(
                "a detection's class is outside the labels",
                "label index $label, $labels labels",
                "correct the labels or the class offset of the binding",
            )
        }
        return label.toInt()
    }

    private fun rounded(value: Float): Float = Math.rint(value.toDouble()).toFloat()
}

private fun oneLevel(binding: Binding, role: Role, tensors: TensorCache): RoleLevels {
    val levels = RoleLevels.of(binding, role, tensors)
    if (levels.levels.size != 1) {
        throw BindingError(
            "final detections have one output of role ${role.name.lowercase()}",
            "${levels.levels.size}",
            "use the binding as it was written with this file",
        )
    }
    return levels
}
