package ai.phoneproof.pixels.filters

import kotlin.math.floor

internal const val WEIGHT_BITS = 11
private const val ONE = 1 shl WEIGHT_BITS

/** Adding and taking away 1.5 * 2^23 leaves a float32 below 2^22 rounded, halves to even. */
private const val ROUNDER = 12_582_912f

/** Rounds halves to even; for values below 2^22. */
internal fun roundEven(value: Float): Int = ((value + ROUNDER) - ROUNDER).toInt()

/** Source pixels per target pixel, with the rounding of OpenCV's two divisions. */
internal fun openCvScale(source: Int, target: Int): Double = 1.0 / (target.toDouble() / source)

/** `weight * 2048`, halves to even. */
internal fun elevenBits(weight: Float): Int = Math.rint((weight * ONE).toDouble()).toInt()

/** One axis: the source index each target pixel starts from, and the way to the next (float32). */
internal class Samples(val index: IntArray, val fraction: FloatArray)

/** Half-pixel centres: `float32((x + .5) * scale - .5)`, floor and rest. */
internal fun centerSamples(source: Int, target: Int): Samples {
    val scale = openCvScale(source, target)
    val index = IntArray(target)
    val fraction = FloatArray(target)
    for (x in 0 until target) {
        val position = ((x + 0.5) * scale - 0.5).toFloat()
        val below = floor(position)
        index[x] = below.toInt()
        fraction[x] = position - below
    }
    return Samples(index, fraction)
}

/** Positions of area where it does not shrink both axes: pixels stay sharp, edges blend. */
internal fun areaSamples(source: Int, target: Int): Samples {
    val scale = openCvScale(source, target)
    val inverse = target.toDouble() / source
    val index = IntArray(target) { floor(it * scale).toInt() }
    val fraction = FloatArray(target) { x ->
        val way = ((x + 1) - (index[x] + 1) * inverse).toFloat()
        if (way <= 0f) 0f else way - floor(way)
    }
    return Samples(index, fraction)
}
