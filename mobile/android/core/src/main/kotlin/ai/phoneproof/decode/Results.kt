package ai.phoneproof.decode

/**
 * One detection, in pixels of the upright original.
 *
 * @property classIndex index into the contract's labels.
 * @property label its text.
 */
public data class Detection(
    val classIndex: Int,
    val label: String,
    val score: Float,
    val left: Float,
    val top: Float,
    val right: Float,
    val bottom: Float,
)

/**
 * One class of a classification.
 *
 * @property classIndex index into the contract's labels.
 * @property label its text.
 * @property score the probability.
 */
public data class Classification(val classIndex: Int, val label: String, val score: Float)

/**
 * One output as the model gave it for one image, dequantised.
 *
 * @property shape without the batch axis.
 * @property values row-major.
 */
public class RawTensor(
    public val name: String,
    public val shape: List<Int>,
    public val values: FloatArray,
)
