package ai.phoneproof.pixels.filters

import ai.phoneproof.contract.Filter
import kotlin.math.abs
import kotlin.math.max
import kotlin.math.min

internal const val PRECISION_BITS = 22

/** A filter: its value at a distance (in source pixels, unscaled), and where it ends. */
internal class Kernel(val support: Double, val weight: (Double) -> Double)

/**
 * One axis: target pixel x takes source pixels [first] of x to first + [count] of x, with weights
 * (times 2^22) at x * [most] in [weights].
 */
internal class Taps(val first: IntArray, val count: IntArray, val most: Int, val weights: IntArray)

/** The kernel of a Pillow filter other than nearest. */
internal fun pillowKernel(filter: Filter): Kernel = when (filter) {
    Filter.PILLOW_BOX -> Kernel(0.5) { if (-0.5 < it && it <= 0.5) 1.0 else 0.0 }
    Filter.PILLOW_BILINEAR -> Kernel(1.0) { max(1.0 - abs(it), 0.0) }
    Filter.PILLOW_HAMMING -> Kernel(1.0, ::hamming)
    Filter.PILLOW_BICUBIC -> Kernel(2.0, ::bicubic)
    Filter.PILLOW_LANCZOS -> Kernel(3.0, ::lanczos)
    else -> error("${filter.wire} has no kernel")
}

/** The weighted source pixels of every target pixel, as `phoneproof/pixels/reference/pillow.py`. */
internal fun axisTaps(source: Int, target: Int, kernel: Kernel): Taps {
    val scale = source.toDouble() / target
    val widening = max(scale, 1.0)
    val support = kernel.support * widening
    val first = IntArray(target)
    val rows = Array(target) { x ->
        val center = (x + 0.5) * scale
        first[x] = max((center - support + 0.5).toInt(), 0)
        val end = min((center + support + 0.5).toInt(), source)
        fixedWeights(kernel, first[x], end, center, 1.0 / widening)
    }
    val most = rows.maxOf { it.size }
    val weights = IntArray(target * most)
    rows.forEachIndexed { x, row -> row.copyInto(weights, x * most) }
    return Taps(first, IntArray(target) { rows[it].size }, most, weights)
}

private fun fixedWeights(
    kernel: Kernel,
    first: Int,
    end: Int,
    center: Double,
    inverse: Double,
): IntArray {
    val weights = DoubleArray(end - first) { kernel.weight((first + it - center + 0.5) * inverse) }
    var total = 0.0
    for (weight in weights) total += weight
    return IntArray(weights.size) {
        val weight = if (total != 0.0) weights[it] / total else weights[it]
        val scaled = weight * (1 shl PRECISION_BITS)
        // Halves away from zero.
        (if (weight < 0) scaled - 0.5 else scaled + 0.5).toInt()
    }
}

// StrictMath: the same bits on every phone.

/** The two constants are float32 in the library, the arithmetic float64. */
private fun hamming(distance: Double): Double {
    val x = abs(distance)
    if (x == 0.0) return 1.0
    if (x >= 1.0) return 0.0
    val angle = x * Math.PI
    val window = 0.54f.toDouble() + 0.46f.toDouble() * StrictMath.cos(angle)
    return StrictMath.sin(angle) / angle * window
}

/** Keys' cubic with a = -.5 (OpenCV takes -.75). */
private fun bicubic(distance: Double): Double {
    val a = -0.5
    val x = abs(distance)
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return 0.0
}

private fun lanczos(x: Double): Double = if (-3.0 <= x && x < 3.0) sinc(x) * sinc(x / 3.0) else 0.0

private fun sinc(x: Double): Double {
    if (x == 0.0) return 1.0
    val angle = x * Math.PI
    return StrictMath.sin(angle) / angle
}
