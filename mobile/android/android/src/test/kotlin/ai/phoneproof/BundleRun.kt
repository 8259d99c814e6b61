package ai.phoneproof

import ai.phoneproof.acceleration.MemoryStore
import ai.phoneproof.contract.Task
import ai.phoneproof.testing.LiteRtJna
import android.content.Context
import android.graphics.BitmapFactory
import java.io.File
import kotlin.math.abs
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assume.assumeTrue

/** What Python found in one picture. */
internal class Expected(val picture: File, val result: JSONObject) {
    /** Whether Android would convert its colours, which the other side leaves as stored. */
    fun isColourManaged(): Boolean =
        BitmapFactory.decodeFile(picture.path).colorSpace?.isSrgb == false
}

/**
 * A model of a bundle, and what `phoneproof run` found in pictures: a folder with `bundle/`,
 * `model.txt` (the file within it), `images/` and `results.json`.
 */
internal class BundleRun(private val folder: File) {
    val name: String get() = folder.name
    val bundle = File(folder, "bundle")
    val path = File(folder, "model.txt").readText().trim()
    val expected: List<Expected> by lazy {
        val all = JSONArray(File(folder, "results.json").readText())
        List(all.length()) { place ->
            val one = all.getJSONObject(place)
            val name = File(one.getString("image")).name
            Expected(File(folder, "images/$name"), one.getJSONObject("result"))
        }
    }

    fun open(context: Context): VisionModel {
        val options = VisionModelOptions(store = MemoryStore())
        return VisionModel.fromFile(context, bundle, path, LiteRtJna(library), options)
    }

    companion object {
        val library = File(System.getProperty("phoneproof.litert").orEmpty())
        val out = File(System.getProperty("phoneproof.out").orEmpty())

        /** Every folder of `phoneproof.runs`; what tests make goes to `phoneproof.out`. */
        fun all(): List<BundleRun> {
            val root = File(System.getProperty("phoneproof.runs").orEmpty())
            val folders = root.listFiles { it.isDirectory }.orEmpty().sorted()
            assumeTrue("phoneproof.litert names no library", library.isFile)
            assumeTrue("phoneproof.runs holds no model", folders.isNotEmpty())
            assumeTrue("phoneproof.out is no folder", out.isDirectory)
            return folders.map(::BundleRun)
        }
    }
}

/** How far the results of one picture are from Python's; [fault] says what is beyond the limits. */
internal class Difference {
    var score = 0.0
        private set
    var pixels = 0.0
        private set
    var results = 0
        private set
    var fault: String? = null
        private set

    fun sawScore(what: String, found: Float, wanted: Double) {
        val far = abs(found - wanted)
        score = maxOf(score, far)
        results++
        if (!(far <= SCORE)) fault("$what has score $found instead of $wanted")
    }

    fun sawSide(what: String, found: Float, wanted: Double) {
        val far = abs(found - wanted)
        pixels = maxOf(pixels, far)
        if (!(far <= PIXELS)) fault("$what is $far px away")
    }

    /** The first one is the one that is told. */
    fun fault(words: String) {
        fault = fault ?: words
    }

    companion object {
        const val SCORE = 1e-6
        const val PIXELS = 1e-4
    }
}

/** What this model finds in a picture file, against what Python found. */
internal fun VisionModel.differenceTo(result: JSONObject, picture: File): Difference =
    if (contract.task == Task.DETECT) {
        boxes(result.getJSONArray("detections"), picture)
    } else {
        classes(result.getJSONArray("probabilities"), picture)
    }

private fun VisionModel.boxes(wanted: JSONArray, picture: File): Difference {
    val difference = Difference()
    val found = detect(picture)
    if (found.size != wanted.length()) {
        difference.fault("${found.size} detections instead of ${wanted.length()}")
        return difference
    }
    for ((place, one) in found.withIndex()) {
        val other = wanted.getJSONObject(place)
        val what = "detection $place"
        val isSame =
            one.classIndex == other.getInt("index") && one.label == other.getString("label")
        if (!isSame) difference.fault("$what is a ${one.label}")
        difference.sawScore(what, one.score, other.getDouble("score"))
        val box = other.getJSONArray("box")
        val sides = listOf(one.left, one.top, one.right, one.bottom)
        sides.forEachIndexed { at, side -> difference.sawSide(what, side, box.getDouble(at)) }
    }
    return difference
}

private fun VisionModel.classes(wanted: JSONArray, picture: File): Difference {
    val difference = Difference()
    val found = classify(picture)
    val order =
        (0 until wanted.length())
            .filter { contract.labels.isEmpty() || contract.labels[it] != null }
            .sortedByDescending { wanted.getDouble(it) }
    if (found.map { it.classIndex } != order) {
        difference.fault("the order is ${found.take(SHOWN)} instead of ${order.take(SHOWN)} ...")
    }
    for (one in found) {
        difference.sawScore(one.label, one.score, wanted.getDouble(one.classIndex))
    }
    return difference
}

private const val SHOWN = 3
