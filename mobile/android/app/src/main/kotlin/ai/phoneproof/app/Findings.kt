package ai.phoneproof.app

import ai.phoneproof.VisionModel
import ai.phoneproof.contract.Task
import ai.phoneproof.decode.Classification
import ai.phoneproof.decode.Detection
import ai.phoneproof.decode.RawTensor
import android.content.Context
import android.media.Image
import android.net.Uri

/** What a model found in a picture. */
sealed interface Findings {
    /** Detections, best first. */
    data class Boxes(val all: List<Detection>) : Findings

    /** The most probable classes, best first. */
    data class Classes(val top: List<Classification>) : Findings

    /** Outputs that mean nothing which could be drawn. */
    data class Tensors(val all: List<RawTensor>) : Findings
}

private const val TOP = 3

/** What the model finds in the picture behind [uri]. */
fun VisionModel.findIn(context: Context, uri: Uri): Findings = when (contract.task) {
    Task.DETECT -> Findings.Boxes(detect(context, uri))
    Task.CLASSIFY -> Findings.Classes(classify(context, uri).take(TOP))
    Task.RAW -> Findings.Tensors(raw(context, uri))
}

/** What the model finds in a camera frame, which must be turned clockwise by [rotation] degrees. */
fun VisionModel.findIn(frame: Image, rotation: Int): Findings = when (contract.task) {
    Task.DETECT -> Findings.Boxes(detect(frame, rotation))
    Task.CLASSIFY -> Findings.Classes(classify(frame, rotation).take(TOP))
    Task.RAW -> Findings.Tensors(raw(frame, rotation))
}

/** A few lines for people: classes with scores, how many boxes of what, or shapes of tensors. */
fun Findings.describe(context: Context): String = when (this) {
    is Findings.Boxes -> describe(context, all)
    is Findings.Classes -> top.joinToString("\n") { score(context, it.label, it.score) }
    is Findings.Tensors -> all.joinToString("\n") { "${it.name}: ${it.shape.joinToString(" × ")}" }
}

fun score(context: Context, label: String, score: Float): String =
    context.getString(R.string.score, label, score * 100)

private fun describe(context: Context, boxes: List<Detection>): String {
    if (boxes.isEmpty()) return context.getString(R.string.nothing_found)
    val count = context.resources.getQuantityString(R.plurals.boxes, boxes.size, boxes.size)
    val best = boxes.take(TOP).map { score(context, it.label, it.score) }
    return (listOf(count) + best).joinToString("\n")
}
