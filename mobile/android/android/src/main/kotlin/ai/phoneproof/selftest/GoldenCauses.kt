package ai.phoneproof.selftest

import ai.phoneproof.acceleration.element
import ai.phoneproof.decode.Classification
import ai.phoneproof.decode.Detection
import ai.phoneproof.sha256Of
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.Locale
import kotlin.math.abs

private const val SCORE = 1e-6
private const val PIXELS = 1e-4
private const val CHANNELS = 3

/** This part of the differing values must agree with an explanation; what is clipped may not. */
private const val MOST = 0.97

/** Least part of the values' variance on one line, and how far from 1 its slope may be rounding. */
private const val ON_A_LINE = 0.999
private const val SAME_SCALE = 1e-3

/** A mean distance in pixel values up to which the picture is the same one, resampled otherwise. */
private const val RESAMPLED = 24.0

/**
 * A tensor of this device beside the recorded one.
 *
 * @param expected the recorded elements 0, every, 2 * every, ...
 */
internal class ComparedTensor(
    private val golden: GoldenTensor,
    private val expected: DoubleArray,
    tensor: ByteBuffer,
) {
    private val tensor = tensor.duplicate().apply { clear() }.order(ByteOrder.nativeOrder())
    private val count = this.tensor.capacity() / golden.dtype.bytes

    /** Equal to the last bit, the whole tensor and not only what was recorded of it. */
    val isEqual: Boolean = sha256Of(this.tensor) == golden.sha256

    private fun at(index: Int) = element(tensor, index, golden.dtype)

    /** How much differs, in one line. */
    fun found(): String {
        if (count != golden.shape.fold(1) { product, side -> product * side }) {
            return "$count values instead of ${golden.shape}"
        }
        val apart = expected.indices.map { abs(at(it * golden.every) - expected[it]) }
        val differing = apart.count { it != 0.0 }
        return String.format(
            Locale.ROOT,
            "%d of %d values differ, by %.4g on average and %.4g at most",
            differing,
            apart.size,
            apart.average(),
            apart.max(),
        )
    }

    /** Why pixels differ; the shape is height, width, channels. */
    fun pixelCause(): String {
        val (height, width, channels) = golden.shape
        if (count != height * width * channels) return "another input size"
        if (channels == CHANNELS && share { y, x, c -> place(y, x, CHANNELS - 1 - c) } >= MOST) {
            return "red and blue are swapped"
        }
        for (dy in -1..1) {
            for (dx in -1..1) {
                if (dy == 0 && dx == 0) continue
                if (share { y, x, c -> place(y + dy, x + dx, c) } >= MOST) {
                    return "crop or padding is off by ${abs(dy)} rows and ${abs(dx)} columns"
                }
            }
        }
        val apart = expected.indices.map { abs(at(it * golden.every) - expected[it]) }.average()
        return if (apart <= RESAMPLED) RESAMPLED_CAUSE else OTHER_PIXELS
    }

    /** Why values differ although the pixels were equal: the line that leads to them tells. */
    fun valueCause(): String {
        val found = expected.indices.map { at(it * golden.every) }
        val (meanNow, meanBefore) = found.average() to expected.average()
        var shared = 0.0
        var spreadNow = 0.0
        var spreadBefore = 0.0
        for ((place, now) in found.withIndex()) {
            val before = expected[place] - meanBefore
            shared += (now - meanNow) * before
            spreadNow += (now - meanNow) * (now - meanNow)
            spreadBefore += before * before
        }
        val gain = shared / spreadBefore
        val fit = shared * gain / spreadNow
        return when {
            !(fit >= ON_A_LINE) -> OTHER_VALUES

            abs(gain - 1) < SAME_SCALE -> "mean, or the quantization's zero point"

            else -> "the scale: every value is ${number(gain)} of what it should be " +
                "(255/256 is ${number(255.0 / 256)})"
        }
    }

    private fun number(value: Double) = String.format(Locale.ROOT, "%.5f", value)

    private fun place(y: Int, x: Int, channel: Int): Int {
        val (height, width, channels) = golden.shape
        return if (y in 0 until height && x in 0 until width) {
            (y * width + x) * channels + channel
        } else {
            -1
        }
    }

    /** The share of the differing values that would be right if they lay [elsewhere]. */
    private inline fun share(elsewhere: (Int, Int, Int) -> Int): Double {
        val (_, width, channels) = golden.shape
        var differing = 0
        var right = 0
        for (sample in expected.indices) {
            val index = sample * golden.every
            if (at(index) == expected[sample]) continue
            val pixel = index / channels
            val other = elsewhere(pixel / width, pixel % width, index % channels)
            if (other < 0) continue
            differing++
            if (at(other) == expected[sample]) right++
        }
        return if (differing == 0) 0.0 else right.toDouble() / differing
    }

    private companion object {
        const val RESAMPLED_CAUSE =
            "another resize (a filter of another library, or other rounding of sizes)"
        const val OTHER_PIXELS = "another geometry (turn, crop, padding), or another picture"
        const val OTHER_VALUES =
            "scale, mean, std or quantization, or the order of the tensor's axes"
    }
}

/** What all differences have in common tells more than each one alone. */
internal fun explained(
    found: List<GoldenDifference>,
    cases: List<GoldenCase>,
): List<GoldenDifference> {
    val differing = found.map { it.picture }.toSet()
    val flags = cases.filter { it.id in differing }.map { it.flags }
    val sole = SOLE_CAUSES.entries.firstOrNull { (flag, _) -> flags.all { flag in it } }?.value
    val isShared = found.size < cases.size && found.all { it.stage == GoldenStage.PIXELS }
    return found.map { one ->
        val alike = found.filter { it.stage == one.stage }.groupingBy { it.cause }.eachCount()
        val cause = sole.takeIf { isShared } ?: alike.maxBy { it.value }.key
        one.copy(cause = cause)
    }
}

private val SOLE_CAUSES = mapOf(
    "exif_orientation" to "the orientation tag (EXIF) is not heeded as the contract says",
    "alpha" to "transparency is not dealt with as the contract says",
    "gray_file" to "files without colour are decoded otherwise",
    "thin" to "sides are rounded otherwise where a picture is very long",
    "upscaled" to "pictures smaller than the input are enlarged otherwise",
)

internal fun Detection.asGolden(): GoldenResult {
    val box = listOf(left, top, right, bottom).map { it.toDouble() }
    return GoldenResult(classIndex, score.toDouble(), box)
}

internal fun Classification.asGolden(): GoldenResult =
    GoldenResult(classIndex, score.toDouble(), null)

/** The first thing in which results differ; null: nothing. */
internal fun resultsApart(expected: List<GoldenResult>, found: List<GoldenResult>): String? {
    if (expected.size != found.size) return "${found.size} results instead of ${expected.size}"
    for ((place, before) in expected.withIndex()) {
        val now = found[place]
        if (now.classIndex != before.classIndex) {
            return "result $place is class ${now.classIndex} instead of ${before.classIndex}"
        }
        if (abs(now.score - before.score) > SCORE) {
            return "result $place has score ${now.score} instead of ${before.score}"
        }
        val sides = before.box ?: continue
        if (sides.indices.any { abs(sides[it] - (now.box?.get(it) ?: Double.NaN)) > PIXELS }) {
            return "result $place lies at ${now.box} instead of $sides"
        }
    }
    return null
}
