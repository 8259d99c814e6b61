package ai.phoneproof.json

/** Deeper nesting is an attack on the stack, not a contract. */
private const val DEEPEST = 64

/**
 * Reads one JSON text.
 *
 * Not `org.json`: that one accepts much that is no JSON, differs between Android and the JVM, and
 * loses the text of numbers, which the hash of a contract needs.
 */
internal class JsonReader(private val text: String) {
    private var position = 0

    /** @throws JsonFault where the text is not JSON; the message tells the offset. */
    fun read(): JsonValue {
        val value = value(0)
        skipSpace()
        if (position < text.length) fault("text after the end")
        return value
    }

    private fun value(depth: Int): JsonValue {
        if (depth > DEEPEST) fault("nesting deeper than $DEEPEST")
        skipSpace()
        return when (val next = peek()) {
            '{' -> objectValue(depth)
            '[' -> arrayValue(depth)
            '"' -> JsonString(string())
            't' -> word("true", JsonBoolean(true))
            'f' -> word("false", JsonBoolean(false))
            'n' -> word("null", JsonNull)
            else -> if (next == '-' || next in '0'..'9') number() else fault("no value")
        }
    }

    private fun objectValue(depth: Int): JsonObject {
        val fields = LinkedHashMap<String, JsonValue>()
        position++
        skipSpace()
        if (accept('}')) return JsonObject(fields)
        do {
            skipSpace()
            if (peek() != '"') fault("no name")
            val name = string()
            skipSpace()
            expect(':')
            if (fields.put(name, value(depth + 1)) != null) fault("the name \"$name\" twice")
            skipSpace()
        } while (accept(','))
        expect('}')
        return JsonObject(fields)
    }

    private fun arrayValue(depth: Int): JsonArray {
        val items = ArrayList<JsonValue>()
        position++
        skipSpace()
        if (accept(']')) return JsonArray(items)
        do {
            items.add(value(depth + 1))
            skipSpace()
        } while (accept(','))
        expect(']')
        return JsonArray(items)
    }

    private fun string(): String {
        position++
        val start = position
        while (peek() != '"' && peek() != '\\') plainCharacter()
        if (peek() == '"') return text.substring(start, position++)
        val built = StringBuilder().append(text, start, position)
        while (peek() != '"') {
            built.append(if (accept('\\')) escaped() else plainCharacter())
        }
        position++
        return built.toString()
    }

    private fun plainCharacter(): Char {
        val char = peek()
        if (char < ' ') fault("a string that does not end")
        position++
        return char
    }

    private fun escaped(): Char {
        val char = peek()
        position++
        return when (char) {
            '"', '\\', '/' -> char
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'b' -> '\b'
            'f' -> '\u000c'
            'u' -> unicode()
            else -> fault("an unknown escape")
        }
    }

    private fun unicode(): Char {
        var code = 0
        repeat(4) {
            val digit = Character.digit(peek(), 16)
            if (digit < 0) fault("an unknown escape")
            code = code * 16 + digit
            position++
        }
        return code.toChar()
    }

    private fun number(): JsonNumber {
        val start = position
        accept('-')
        if (!accept('0')) digits()
        if (accept('.')) digits()
        if (accept('e') || accept('E')) {
            if (!accept('+')) accept('-')
            digits()
        }
        return JsonNumber(text.substring(start, position))
    }

    private fun digits() {
        val start = position
        while (position < text.length && text[position] in '0'..'9') position++
        if (position == start) fault("no digit")
    }

    private fun <T> word(word: String, value: T): T {
        if (!text.startsWith(word, position)) fault("no value")
        position += word.length
        return value
    }

    private fun skipSpace() {
        while (position < text.length && text[position] in " \t\n\r") position++
    }

    /** The next character; NUL, which is none of JSON's, at the end. */
    private fun peek(): Char = if (position < text.length) text[position] else '\u0000'

    private fun accept(char: Char): Boolean {
        if (position >= text.length || text[position] != char) return false
        position++
        return true
    }

    private fun expect(char: Char) {
        if (!accept(char)) fault("no '$char'")
    }

    private fun fault(what: String): Nothing =
        throw JsonFault("$what at character $position of ${text.length}")
}
