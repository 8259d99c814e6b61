package ai.phoneproof.decode

import ai.phoneproof.BindingError
import ai.phoneproof.contract.Binding
import ai.phoneproof.contract.OutputBinding
import ai.phoneproof.contract.PriorAnchors
import ai.phoneproof.contract.Role

/** One role, its levels one after the other in the order of the strides. */
internal class RoleLevels(val role: Role, val levels: List<RoleRows>) {
    /** Where each level's rows begin; one more entry: the number of rows. */
    val starts: IntArray = IntArray(levels.size + 1)

    val rows: Int get() = starts[levels.size]
    val width: Int get() = levels[0].width

    init {
        for (level in levels.indices) starts[level + 1] = starts[level] + levels[level].rows
        if (levels.any { it.width != width }) {
            throw BindingError(
                "the levels of ${name()} have different numbers of values",
                "${levels.map { it.width }}",
                "check the axes and slices of the binding's outputs",
            )
        }
    }

    fun levelOf(row: Int): Int {
        var level = 0
        while (row >= starts[level + 1]) level++
        return level
    }

    fun activated(row: Int, value: Int): Float {
        val level = levelOf(row)
        return levels[level].activated(row - starts[level], value)
    }

    fun activatedRow(row: Int, out: FloatArray) {
        val level = levelOf(row)
        levels[level].activatedRow(row - starts[level], out)
    }

    fun requireWidth(expected: Int) {
        if (width == expected) return
        throw BindingError(
            "${name()} must have $expected value(s) an anchor",
            "$width",
            "check the axes and the slice of the binding's output",
        )
    }

    /** As many rows as the boxes, level by level where both have levels. */
    fun requireRowsOf(boxes: RoleLevels) {
        val sameLevels = levels.size == boxes.levels.size
        val same = if (sameLevels) starts.contentEquals(boxes.starts) else rows == boxes.rows
        if (same) return
        throw BindingError(
            "${name()} have another number of anchors than the rest of the head",
            "${levels.map { it.rows }} instead of ${boxes.levels.map { it.rows }}",
            "check the axes and levels of the binding's outputs (swapped?)",
        )
    }

    private fun name(): String = role.name.lowercase()

    companion object {
        /** @throws BindingError no such role, or levels that are not 0, 1, 2 ... */
        fun of(binding: Binding, role: Role, tensors: TensorCache): RoleLevels {
            val order = if (binding.anchors is PriorAnchors) CELL_FIRST else SHAPE_FIRST
            val parts = parts(binding, role)
            return RoleLevels(role, parts.map { RoleRows(it, tensors.of(it), order) })
        }

        private fun parts(binding: Binding, role: Role): List<OutputBinding> {
            val parts = binding.outputs.filter { it.role == role }
            if (parts.size == 1) return parts
            val levels = parts.map { it.level ?: -1 }
            if (parts.isEmpty() || levels.sorted() != parts.indices.toList()) {
                throw BindingError(
                    "the binding must carry ${role.name.lowercase()} in one tensor or in levels " +
                        "0, 1, 2 ...",
                    "${parts.size} outputs, levels ${parts.map { it.level }}",
                    "use the binding as it was written with this file",
                )
            }
            return parts.sortedBy { it.level }
        }
    }
}

/** Tensors that are read once a frame, however many roles share them. */
internal class TensorCache {
    private val known = LinkedHashMap<Pair<String, Any?>, TensorFloats>()
    private val list = ArrayList<TensorFloats>()

    fun of(output: OutputBinding): TensorFloats =
        known.getOrPut(output.tensor to (output.quant to output.shape)) {
            TensorFloats(output).also { list.add(it) }
        }

    fun read(outputs: List<OutputTensor>, index: Int) {
        for (i in list.indices) list[i].read(outputs, index)
    }
}
