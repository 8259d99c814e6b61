package ai.phoneproof.contract

import ai.phoneproof.PhoneproofError

/** What a model is for. */
public enum class Task { CLASSIFY, DETECT, RAW }

/**
 * What a model means (schema `phoneproof.contract/1`): how a picture becomes the input tensor, and
 * what the results are.
 *
 * @property inputs exactly one.
 * @property labels by class index; null is background or a gap in the ids.
 * @property decode what the app does with the outputs; null only where [task] needs none.
 * @property sha256 hash of the canonical JSON; a [Binding] names its contract by it.
 */
public data class Contract(
    val name: String,
    val version: String,
    val task: Task,
    val inputs: List<ImageInput>,
    val labels: List<String?>,
    val decode: Decode?,
    val sha256: String,
) {
    /** The one image input. */
    public val image: ImageInput get() = inputs[0]

    /** The label of a class, or `class 7` where the contract has none. */
    public fun label(index: Int): String = labels.getOrNull(index) ?: "class $index"

    public companion object {
        /**
         * Reads `contract.json`.
         *
         * @throws PhoneproofError (a ContractError) text that is no JSON, a newer schema, a field
         *   that is missing, unknown or of another type, or values that exclude each other.
         */
        @JvmStatic
        public fun parse(text: String): Contract = readContract(text)
    }
}

/**
 * What the app does with the outputs.
 *
 * @property confidence a score counts when it is greater than this.
 * @property multiLabel every class of an anchor may be a detection, not its best one alone.
 * @property nms null: the model's boxes are final.
 */
public data class Decode(
    val confidence: Double = 0.25,
    val multiLabel: Boolean = false,
    val nms: Nms? = null,
)

/**
 * Greedy non-maximum suppression; IoU without +1.
 *
 * @property preTopK only so many candidates take part.
 */
public data class Nms(
    val iou: Double = 0.45,
    val classAgnostic: Boolean = false,
    val preTopK: Int = 30_000,
    val maxDetections: Int = 300,
)
