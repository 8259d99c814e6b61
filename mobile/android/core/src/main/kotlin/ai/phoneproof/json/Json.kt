package ai.phoneproof.json

/** A JSON value whose numbers keep the text they were written with, so that hashes survive. */
internal sealed interface JsonValue

internal data object JsonNull : JsonValue

internal data class JsonBoolean(val value: Boolean) : JsonValue

internal data class JsonNumber(val text: String) : JsonValue

internal data class JsonString(val value: String) : JsonValue

internal data class JsonArray(val items: List<JsonValue>) : JsonValue

internal data class JsonObject(val fields: Map<String, JsonValue>) : JsonValue

/** Text that is not JSON (RFC 8259, without duplicate names). */
internal class JsonFault(message: String) : Exception(message)

/** Compact text with sorted names, as `phoneproof.core.json_format.canonical_bytes` writes it. */
internal fun canonicalText(value: JsonValue): String = buildString { appendCanonical(value) }

private fun StringBuilder.appendCanonical(value: JsonValue) {
    when (value) {
        JsonNull -> append("null")
        is JsonBoolean -> append(value.value)
        is JsonNumber -> append(value.text)
        is JsonString -> appendQuoted(value.value)
        is JsonArray -> appendItems(value)
        is JsonObject -> appendFields(value)
    }
}

private fun StringBuilder.appendItems(array: JsonArray) {
    append('[')
    array.items.forEachIndexed { index, item ->
        if (index > 0) append(',')
        appendCanonical(item)
    }
    append(']')
}

private fun StringBuilder.appendFields(json: JsonObject) {
    append('{')
    json.fields.keys.sorted().forEachIndexed { index, name ->
        if (index > 0) append(',')
        appendQuoted(name)
        append(':')
        appendCanonical(json.fields.getValue(name))
    }
    append('}')
}

private fun StringBuilder.appendQuoted(text: String) {
    append('"')
    for (char in text) {
        when (char) {
            '"' -> append("\\\"")
            '\\' -> append("\\\\")
            '\n' -> append("\\n")
            '\r' -> append("\\r")
            '\t' -> append("\\t")
            '\b' -> append("\\b")
            '\u000c' -> append("\\f")
            in '\u0000'..'\u001f' -> append("\\u").append(char.code.toString(16).padStart(4, '0'))
            else -> append(char)
        }
    }
    append('"')
}
