package ai.phoneproof.selftest

import ai.phoneproof.decode.Classification
import ai.phoneproof.decode.Detection
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.sha256Of
import ai.phoneproof.thermal.ThermalStatus
import android.os.Build
import android.util.Base64
import java.nio.ByteBuffer
import java.text.SimpleDateFormat
import java.util.Date
import java.util.Locale
import java.util.TimeZone
import org.json.JSONArray
import org.json.JSONObject

internal enum class RunState { RAN, UNAVAILABLE, FAILED }

/** One output tensor; its elements are taken at once, since engines use their buffers again. */
internal class OutputResult(private val golden: GoldenTensor, output: ByteBuffer) {
    private val values: String = sampled(output)

    /** The elements that the golden file holds, little-endian, which is the native order. */
    private fun sampled(output: ByteBuffer): String {
        val size = golden.dtype.bytes
        val count = output.capacity() / size
        val taken = ByteArray((count + golden.every - 1) / golden.every * size)
        for (place in 0 until taken.size / size) {
            for (byte in 0 until size) {
                taken[place * size + byte] = output.get(place * golden.every * size + byte)
            }
        }
        return Base64.encodeToString(taken, Base64.NO_WRAP)
    }

    fun json(): JSONObject = JSONObject()
        .put("name", golden.name)
        .put("dtype", golden.dtype.name.lowercase())
        .put("every", golden.every)
        .put("values", values)
}

/** One golden case. */
internal class VectorResult(
    private val case: String,
    tensor: ByteBuffer,
    private val outputs: List<OutputResult>,
) {
    private val inputSha256 = sha256Of(tensor)
    var boxes: List<Detection>? = null
    var classes: List<Classification>? = null

    fun json(): JSONObject {
        val json = JSONObject().put("case", case).put("input_sha256", inputSha256)
        json.put("outputs", array(outputs) { it.json() })
        boxes?.let { all -> json.put("boxes", array(all.filter(::isFinite), ::box)) }
        classes?.let { all ->
            json.put("classes", array(all.filter { it.score.isFinite() }, ::label))
        }
        return json
    }

    private fun label(found: Classification): JSONObject = JSONObject()
        .put("label", found.classIndex)
        .put("probability", found.score.toDouble())

    private fun box(found: Detection): JSONObject = JSONObject()
        .put("box", array(sides(found)) { it.toDouble() })
        .put("score", found.score.toDouble())
        .put("label", found.classIndex)

    /** JSON has no other numbers; what a broken delegate gave is among the outputs, bit by bit. */
    private fun isFinite(found: Detection): Boolean =
        found.score.isFinite() && sides(found).all { it.isFinite() }

    private fun sides(found: Detection): List<Float> =
        listOf(found.left, found.top, found.right, found.bottom)
}

/** Milliseconds of one inference. */
internal class LatencyResult(
    private val n: Int,
    private val warmUp: Int,
    private val firstMs: Double?,
    val p50Ms: Double,
    private val p95Ms: Double,
) {
    fun json(): JSONObject = JSONObject()
        .put("n", n)
        .put("warm_up", warmUp)
        .putOpt("first_ms", firstMs)
        .put("p50_ms", p50Ms)
        .put("p95_ms", p95Ms)
}

/** Medians of the first and of the last tenth of a long run. */
internal class SustainedResult(
    private val seconds: Double,
    private val n: Int,
    private val firstP50Ms: Double,
    private val lastP50Ms: Double,
    private val thermal: ThermalStatus,
) {
    fun json(): JSONObject = JSONObject()
        .put("seconds", seconds)
        .put("n", n)
        .put("first_p50_ms", firstP50Ms)
        .put("last_p50_ms", lastP50Ms)
        .put("thermal", thermal.id)
}

/** One accelerator. */
internal class AcceleratorResult(
    val accelerator: Accelerator,
    private val state: RunState,
    var reason: String = "",
) {
    var loadMs: Double? = null
    var engineVersion: String? = null
    var latency: LatencyResult? = null
    var sustained: SustainedResult? = null
    var thermal: ThermalStatus = ThermalStatus.UNKNOWN
    val vectors = ArrayList<VectorResult>()

    fun json(): JSONObject = JSONObject()
        .put("kind", accelerator.kind.id)
        .put("name", oneLine(accelerator.name))
        .putOpt("threads", accelerator.threads)
        .putOpt("precision", accelerator.precision)
        .put("state", state.name.lowercase())
        .put("reason", oneLine(reason))
        .put("vectors", array(vectors) { it.json() })
        .putOpt("load_ms", loadMs)
        .putOpt("latency", latency?.json())
        .putOpt("sustained", sustained?.json())
        .put("thermal", thermal.id)
}

/** The document around them (schema `phoneproof.device-results/1`). */
internal class DeviceDocument(
    private val contract: String,
    private val golden: String,
    private val artifact: String,
    private val engine: String,
    private val engineVersion: String,
) {
    fun text(accelerators: List<AcceleratorResult>): String = JSONObject()
        .put("schema", "phoneproof.device-results/1")
        .put("created", now())
        .put("made_by", JSONObject().put("name", "phoneproof for Android").put("version", "1"))
        .put("device", device())
        .put("contract", contract)
        .put("golden", golden)
        .put("artifact", artifact)
        .put("engine", engine)
        .put("engine_version", oneLine(engineVersion))
        .put("accelerators", array(accelerators) { it.json() })
        .toString(2)

    private fun device(): JSONObject {
        val chip =
            if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.S) Build.SOC_MODEL else Build.HARDWARE
        return JSONObject()
            .put("model", oneLine("${Build.MANUFACTURER} ${Build.MODEL}"))
            .put("os", "Android")
            .put("os_version", oneLine(Build.VERSION.RELEASE.orEmpty()))
            .put("chip", oneLine(chip.orEmpty()))
    }

    /** ISO 8601; java.time needs API 26. */
    private fun now(): String {
        val format = SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss'Z'", Locale.ROOT)
        format.timeZone = TimeZone.getTimeZone("UTC")
        return format.format(Date())
    }
}

private const val LONGEST = 500

/** Without control characters, at most as long as the schema allows. */
private fun oneLine(text: String): String = text.replace(Regex("\\p{Cntrl}+"), " ").take(LONGEST)

private fun <T> array(items: List<T>, json: (T) -> Any): JSONArray {
    val array = JSONArray()
    for (item in items) array.put(json(item))
    return array
}
