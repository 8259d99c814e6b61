package ai.phoneproof.selftest

import ai.phoneproof.ModelFileError
import ai.phoneproof.ModelFolder
import ai.phoneproof.acceleration.GoldenOutput
import ai.phoneproof.acceleration.element
import ai.phoneproof.contract.Contract
import ai.phoneproof.contract.DType
import ai.phoneproof.sha256Of
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject

/**
 * One tensor that Python recorded.
 *
 * @property every the file holds the elements 0, every, 2 * every, ... of the flattened tensor.
 * @property sha256 of the whole tensor.
 */
internal class GoldenTensor(json: JSONObject) {
    val name: String = json.getString("name")
    val dtype: DType = DType.valueOf(json.getString("dtype").uppercase())
    val shape: List<Int> =
        json.getJSONArray("shape").let { sides -> List(sides.length()) { sides.getInt(it) } }
    val sha256: String = json.getString("sha256")
    val file: String = json.getString("file")
    val fileSha256: String = json.getString("file_sha256")
    val every: Int = json.optInt("every", 1)

    init {
        require(every >= 1) { "tensor $name holds every ${every}th element" }
    }
}

/**
 * One picture and what the model file made of it in Python.
 *
 * @property pixels after the geometry: height, width, channels in the contract's order.
 * @property results null for a model whose outputs mean nothing more.
 */
internal class GoldenCase(
    val id: String,
    val file: String,
    val sha256: String,
    val flags: Set<String>,
    val pixels: GoldenTensor,
    val input: GoldenTensor,
    val outputs: List<GoldenTensor>,
    val results: List<GoldenResult>?,
) {
    /** Its pixels are the same on every platform. */
    val isLossless: Boolean get() = "lossless" in flags
}

/**
 * One detection or class.
 *
 * @property box left, top, right, bottom in pixels of the upright original; null: a class.
 */
internal class GoldenResult(val classIndex: Int, val score: Double, val box: List<Double>?)

/**
 * The golden vectors of a bundle (schema `phoneproof.golden/1`) for one model file.
 *
 * @property sha256 of the index.
 */
internal class GoldenVectors private constructor(
    private val folder: ModelFolder,
    val sha256: String,
    val cases: List<GoldenCase>,
) {
    /** @throws ModelFileError the file is missing or altered. */
    fun picture(case: GoldenCase): ByteArray = checked(case.file, case.sha256)

    /** The recorded elements. */
    fun values(tensor: GoldenTensor): GoldenOutput {
        val bytes =
            ByteBuffer.wrap(checked(tensor.file, tensor.fileSha256)).order(ByteOrder.LITTLE_ENDIAN)
        val count = bytes.limit() / tensor.dtype.bytes
        val values = DoubleArray(count) { element(bytes, it, tensor.dtype) }
        return GoldenOutput(tensor.name, tensor.every, values)
    }

    /** The file's bytes as they are: the whole tensor where [GoldenTensor.every] is 1. */
    fun bytes(tensor: GoldenTensor): ByteArray = checked(tensor.file, tensor.fileSha256)

    private fun checked(file: String, sha256: String): ByteArray {
        val bytes = folder.read("$ROOT/$file")
        if (sha256Of(bytes) == sha256) return bytes
        throw ModelFileError(
            "the golden file $file is not as it was built",
            "${bytes.size} bytes of another hash",
            "copy the bundle's golden folder again",
        )
    }

    companion object {
        const val ROOT = "golden"
        private const val INDEX = "$ROOT/index.json"
        private const val SCHEMA = "phoneproof.golden/1"

        /**
         * Reads the vectors of the model file with the hash [artifact].
         *
         * @return null where the folder has none, or none of this file.
         * @throws ModelFileError an index of another contract, or one that cannot be read.
         */
        fun read(folder: ModelFolder, contract: Contract, artifact: String): GoldenVectors? {
            if (!folder.has(INDEX)) return null
            val bytes = folder.read(INDEX)
            return try {
                val index = JSONObject(String(bytes))
                require(
                    index.getString("schema") == SCHEMA,
                ) { "schema ${index.getString("schema")}" }
                require(
                    index.getString("contract") == contract.sha256,
                ) { "vectors of another contract" }
                val id = id(index.getJSONArray("artifacts"), artifact) ?: return null
                val cases = objects(index.getJSONArray("cases")).mapNotNull { case(it, id) }
                if (cases.isEmpty()) null else GoldenVectors(folder, sha256Of(bytes), cases)
            } catch (error: JSONException) {
                throw unreadable(error)
            } catch (error: IllegalArgumentException) {
                throw unreadable(error)
            }
        }

        private fun unreadable(cause: Exception) = ModelFileError(
            "the golden index cannot be read",
            cause.message,
            "use model and golden folder of one bundle, and the library that belongs to it",
            cause,
        )

        private fun id(artifacts: JSONArray, sha256: String): String? = (0 until artifacts.length())
            .map { artifacts.getJSONArray(it) }
            .firstOrNull { it.getString(1) == sha256 }
            ?.getString(0)

        private fun case(json: JSONObject, id: String): GoldenCase? {
            val expected = json.getJSONObject("expected")
            val all = objects(expected.getJSONArray("artifacts"))
            val own = all.firstOrNull { it.getString("artifact") == id } ?: return null
            val flags = json.getJSONArray("flags")
            return GoldenCase(
                json.getString("id"),
                json.getString("file"),
                json.getString("sha256"),
                (0 until flags.length()).map { flags.getString(it) }.toSet(),
                GoldenTensor(expected.getJSONObject("pixels")),
                GoldenTensor(own.getJSONObject("input")),
                objects(own.getJSONArray("outputs")).map { GoldenTensor(it) },
                results(own),
            )
        }

        private fun results(json: JSONObject): List<GoldenResult>? {
            val boxes = json.optJSONArray("boxes")
            val classes = json.optJSONArray("classes")
            return when {
                boxes != null -> objects(boxes).map { result(it, "score", it.getJSONArray("box")) }
                classes != null -> objects(classes).map { result(it, "probability", null) }
                else -> null
            }
        }

        private fun result(json: JSONObject, score: String, box: JSONArray?) = GoldenResult(
            json.getInt("label"),
            json.getDouble(score),
            box?.let { sides -> List(sides.length()) { sides.getDouble(it) } },
        )

        private fun objects(array: JSONArray): List<JSONObject> =
            (0 until array.length()).map { array.getJSONObject(it) }
    }
}
