package ai.phoneproof.json

import ai.phoneproof.BindingError
import ai.phoneproof.ContractError
import ai.phoneproof.PhoneproofError

/** Which document is read: it decides the type and the words of its errors. */
internal enum class Document(val title: String, val schema: String) {
    CONTRACT("contract", "phoneproof.contract/1"),
    BINDING("binding", "phoneproof.binding/1"),
    ;

    fun error(
        failed: String,
        found: String? = null,
        nextStep: String? = null,
        cause: Throwable? = null,
    ): PhoneproofError = when (this) {
        CONTRACT -> ContractError(failed, found, nextStep, cause)
        BINDING -> BindingError(failed, found, nextStep, cause)
    }
}

/**
 * The fields of one object, each read once with its type; [end] refuses what nobody asked for, so
 * that a misspelt or newer field is never silently ignored.
 */
internal class Fields(
    private val json: JsonObject,
    private val path: String,
    private val document: Document,
) {
    private val known = HashSet<String>()

    fun has(name: String): Boolean = take(name) != JsonNull

    /** A field of more than one type, as it is; [JsonNull] where it is missing. */
    fun value(name: String): JsonValue = take(name)

    fun text(name: String, default: String? = null): String =
        textOrNull(name) ?: default ?: missing(name)

    fun textOrNull(name: String): String? = when (val value = take(name)) {
        JsonNull -> null
        is JsonString -> value.value
        else -> wrong(name, "text")
    }

    fun number(name: String, default: Double? = null): Double =
        numberOrNull(name) ?: default ?: missing(name)

    fun numberOrNull(name: String): Double? = when (val value = take(name)) {
        JsonNull -> null
        is JsonNumber -> finite(name, value)
        else -> wrong(name, "a number")
    }

    fun integer(name: String, default: Int? = null): Int =
        integerOrNull(name) ?: default ?: missing(name)

    fun integerOrNull(name: String): Int? = numberOrNull(name)?.let { whole(name, it) }

    fun flag(name: String, default: Boolean): Boolean = when (val value = take(name)) {
        JsonNull -> default
        is JsonBoolean -> value.value
        else -> wrong(name, "true or false")
    }

    /** The items of an array; null where it is missing or null. */
    fun itemsOrNull(name: String): List<JsonValue>? = when (val value = take(name)) {
        JsonNull -> null
        is JsonArray -> value.items
        else -> wrong(name, "an array")
    }

    fun items(name: String): List<JsonValue> = itemsOrNull(name) ?: missing(name)

    fun numbersOrNull(name: String): List<Double>? = itemsOrNull(name)?.map {
        if (it is JsonNumber) finite(name, it) else wrong(name, "numbers")
    }

    fun integersOrNull(name: String): List<Int>? = numbersOrNull(name)?.map { whole(name, it) }

    fun childOrNull(name: String): Fields? = when (val value = take(name)) {
        JsonNull -> null
        is JsonObject -> Fields(value, "$path$name.", document)
        else -> wrong(name, "an object")
    }

    fun children(name: String): List<Fields> = items(name).mapIndexed { index, item ->
        if (item !is JsonObject) wrong(name, "objects")
        Fields(item, "$path$name[$index].", document)
    }

    /** One of an enum's names in lower case. */
    fun <E : Enum<E>> choice(
        name: String,
        choices: List<E>,
        default: E? = null,
        wire: (E) -> String = { it.name.lowercase() },
    ): E {
        val text = textOrNull(name) ?: return default ?: missing(name)
        return choices.firstOrNull { wire(it) == text } ?: throw document.error(
            "the ${document.title}'s $path$name is none that this version knows",
            "\"$text\"",
            "use one of ${choices.joinToString { wire(it) }}, or a newer version of this library",
        )
    }

    /** An array of an enum's names in lower case; empty where it is missing. */
    fun <E : Enum<E>> choices(name: String, choices: List<E>): List<E> =
        itemsOrNull(name).orEmpty().map { item ->
            val text = (item as? JsonString)?.value ?: wrong(name, "names")
            choices.firstOrNull { it.name.lowercase() == text } ?: throw document.error(
                "the ${document.title}'s $path$name holds a name that this version does not know",
                "\"$text\"",
                "use one of ${choices.joinToString { it.name.lowercase() }}",
            )
        }

    /** Refuses fields that were not read. */
    fun end() {
        val unknown = json.fields.keys - known
        if (unknown.isNotEmpty()) {
            throw document.error(
                "the ${document.title} has a field that this version does not know",
                path + unknown.first(),
                "use the version of this library that belongs to the bundle",
            )
        }
    }

    /** A rule that spans fields. */
    fun require(holds: Boolean, failed: String, found: String? = null) {
        if (!holds) {
            val where = if (path.isEmpty()) "" else " (${path.removeSuffix(".")})"
            throw document.error("the ${document.title}$where is wrong: $failed", found, NEXT)
        }
    }

    private fun take(name: String): JsonValue {
        known.add(name)
        return json.fields[name] ?: JsonNull
    }

    private fun finite(name: String, number: JsonNumber): Double {
        val value = number.text.toDouble()
        return if (value.isInfinite()) wrong(name, "a number that fits float64") else value
    }

    private fun whole(name: String, value: Double): Int =
        if (value == value.toInt().toDouble()) value.toInt() else wrong(name, "whole numbers")

    private fun missing(name: String): Nothing =
        throw document.error("the ${document.title} lacks a field", path + name, NEXT)

    private fun wrong(name: String, wanted: String): Nothing = throw document.error(
        "the ${document.title}'s $path$name has another type than $wanted",
        canonicalText(json.fields.getValue(name)).take(60),
        NEXT,
    )

    companion object {
        private const val NEXT = "use the file as Phoneproof wrote it"

        /** The top object of a document, its schema checked. */
        fun of(value: JsonValue, document: Document): Fields {
            if (value !is JsonObject) {
                throw document.error("the ${document.title} is no JSON object", null, NEXT)
            }
            val fields = Fields(value, "", document)
            val schema = fields.textOrNull("schema") ?: document.schema
            if (schema != document.schema) {
                throw document.error(
                    "the ${document.title} has a schema that this version does not read",
                    "\"$schema\" instead of \"${document.schema}\"",
                    "use the version of this library that belongs to the bundle",
                )
            }
            return fields
        }

        /** The top object of a text. */
        fun parsed(text: String, document: Document): JsonValue = try {
            JsonReader(text).read()
        } catch (fault: JsonFault) {
            throw document.error(
                "the ${document.title} is not JSON",
                fault.message,
                "copy the file again; it is truncated or damaged",
                fault,
            )
        }
    }
}
