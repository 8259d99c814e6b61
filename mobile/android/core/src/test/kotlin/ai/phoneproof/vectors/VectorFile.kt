package ai.phoneproof.vectors

import ai.phoneproof.json.JsonArray
import ai.phoneproof.json.JsonBoolean
import ai.phoneproof.json.JsonNumber
import ai.phoneproof.json.JsonObject
import ai.phoneproof.json.JsonReader
import ai.phoneproof.json.JsonString
import ai.phoneproof.json.JsonValue
import ai.phoneproof.json.canonicalText
import java.io.File
import java.security.MessageDigest

private const val SCHEMA = "phoneproof.vectors/1"

/** One case of a vector file. */
internal class VectorCase(val area: String, val json: JsonObject) {
    val id: String get() = json.text("id")

    override fun toString(): String = id
}

/** Reads `phoneproof.vectors/1` files; nothing of a file is optional here. */
internal object VectorFile {
    fun folder(): File {
        val named = System.getProperty("phoneproof.vectors").orEmpty()
        val folder = File(named.ifEmpty { "../../vectors" })
        check(folder.isDirectory) { "no folder of vectors at ${folder.absolutePath}" }
        return folder
    }

    /** Every file of cases in the folder; `schema.json` describes them and has none. */
    fun all(): List<File> = folder()
        .listFiles { file -> file.extension == "json" && file.name != "schema.json" }!!
        .sorted()

    fun cases(file: File): List<VectorCase> {
        val top = JsonReader(file.readText()).read() as JsonObject
        check(top.text("schema") == SCHEMA) { "${file.name}: another schema than $SCHEMA" }
        val area = top.text("area")
        return top.list("cases").map { VectorCase(area, it as JsonObject) }
    }
}

internal fun JsonObject.text(name: String): String = (fields.getValue(name) as JsonString).value

internal fun JsonObject.int(name: String): Int = number(name).toInt()

internal fun JsonObject.number(name: String): Double =
    (fields.getValue(name) as JsonNumber).text.toDouble()

internal fun JsonObject.child(name: String): JsonObject = fields.getValue(name) as JsonObject

internal fun JsonObject.list(name: String): List<JsonValue> =
    (fields.getValue(name) as JsonArray).items

internal fun JsonObject.numbers(name: String): List<Double> = list(name).map { it.asDouble() }

internal fun JsonObject.flag(name: String): Boolean = (fields[name] as JsonBoolean?)?.value ?: false

internal fun JsonObject.source(name: String): String = canonicalText(fields.getValue(name))

internal fun JsonValue.asDouble(): Double = (this as JsonNumber).text.toDouble()

internal fun sha256(bytes: ByteArray): String = MessageDigest
    .getInstance("SHA-256")
    .digest(bytes)
    .joinToString("") { "%02x".format(it) }
