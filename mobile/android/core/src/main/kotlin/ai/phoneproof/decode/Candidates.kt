package ai.phoneproof.decode

/** Anchors, classes, scores and boxes that passed the threshold; grows, is never shrunk. */
internal class Candidates {
    var count: Int = 0
        private set
    var classes: IntArray = IntArray(START)
        private set
    var scores: FloatArray = FloatArray(START)
        private set

    /** x1, y1, x2, y2 of each, in pixels of the input tensor. */
    var boxes: FloatArray = FloatArray(START * 4)
        private set
    private var keys = LongArray(START)

    fun clear() {
        count = 0
    }

    /** Candidates are added by anchor, then class: their order breaks ties. */
    fun add(classIndex: Int, score: Float, box: FloatArray) {
        if (count == scores.size) grow()
        classes[count] = classIndex
        scores[count] = score
        box.copyInto(boxes, count * 4, 0, 4)
        count++
    }

    private fun grow() {
        val size = count * 2
        classes = classes.copyOf(size)
        scores = scores.copyOf(size)
        boxes = boxes.copyOf(size * 4)
        keys = LongArray(size)
    }

    /** Sorts by score descending, equal scores by index; [ranked] then gives the order. */
    fun rank() {
        for (i in 0 until count) {
            // Scores are positive or 0 here: their bits are ordered as they are. -0 becomes 0.
            val falling = Int.MAX_VALUE - (scores[i] + 0f).toRawBits()
            keys[i] = (falling.toLong() shl 32) or i.toLong()
        }
        java.util.Arrays.sort(keys, 0, count)
    }

    fun ranked(rank: Int): Int = keys[rank].toInt()

    private companion object {
        const val START = 512
    }
}

/** Indices of what is kept, best first. */
internal class Kept {
    var count: Int = 0
        private set
    var indices: IntArray = IntArray(0)
        private set

    /** The best [most] of ranked [candidates]. */
    fun takeBest(candidates: Candidates, most: Int) {
        reserve(minOf(most, candidates.count))
        while (count < indices.size && count < minOf(most, candidates.count)) {
            indices[count] = candidates.ranked(count)
            count++
        }
    }

    /**
     * Greedy suppression among the best [preTopK] (`phoneproof/decode/nms.py`): float32, IoU
     * without +1, greater than the limit.
     */
    fun suppress(
        candidates: Candidates,
        limit: Float,
        agnostic: Boolean,
        preTopK: Int,
        most: Int,
    ) {
        reserve(minOf(most, candidates.count))
        for (rank in 0 until minOf(preTopK, candidates.count)) {
            if (count == most) return
            val index = candidates.ranked(rank)
            if (!overlapsKept(candidates, index, limit, agnostic)) indices[count++] = index
        }
    }

    private fun reserve(size: Int) {
        count = 0
        if (indices.size < size) indices = IntArray(size)
    }

    private fun overlapsKept(
        candidates: Candidates,
        index: Int,
        limit: Float,
        agnostic: Boolean,
    ): Boolean {
        val classes = candidates.classes
        for (k in 0 until count) {
            val kept = indices[k]
            if (!agnostic && classes[kept] != classes[index]) continue
            if (overlap(candidates.boxes, kept * 4, index * 4) > limit) return true
        }
        return false
    }
}

/** Intersection over union of two boxes; NaN, which is over no limit, where both are empty. */
internal fun overlap(boxes: FloatArray, a: Int, b: Int): Float {
    val width = minOf(boxes[a + 2], boxes[b + 2]) - maxOf(boxes[a], boxes[b])
    val height = minOf(boxes[a + 3], boxes[b + 3]) - maxOf(boxes[a + 1], boxes[b + 1])
    val inter = maxOf(width, 0f) * maxOf(height, 0f)
    return inter / (area(boxes, b) + area(boxes, a) - inter)
}

private fun area(boxes: FloatArray, at: Int): Float =
    maxOf(boxes[at + 2] - boxes[at], 0f) * maxOf(boxes[at + 3] - boxes[at + 1], 0f)
