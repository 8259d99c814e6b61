package ai.phoneproof

import java.security.MessageDigest

/**
 * The canonical form of the project's JSON: keys sorted, no white space, numbers as written.
 *
 * A binding names its contract by the hash of that form, so that an indented `contract.json` and
 * the compact one inside a model file are the same contract.
 */
public object CanonicalJson {
    /**
     * sha256 of the canonical form, lower-case hexadecimal.
     *
     * @throws IllegalArgumentException where [text] is not JSON.
     */
    @JvmStatic
    public fun sha256(text: String): String {
        val digest = MessageDigest.getInstance("SHA-256").digest(of(text).toByteArray())
        return digest.joinToString("") { "%02x".format(it) }
    }

    /** [text] in its canonical form. */
    @JvmStatic
    public fun of(text: String): String {
        val reader = Reader(text)
        val value = reader.value(depth = 0)
        reader.skipSpace()
        require(reader.atEnd) { "text behind the JSON value" }
        return value
    }

    private const val MAX_DEPTH = 64

    private class Reader(
        private val text: String,
    ) {
        private var at = 0

        val atEnd: Boolean get() = at >= text.length

        fun skipSpace() {
            while (at < text.length && text[at] in " \n\r\t") at++
        }

        fun value(depth: Int): String {
            require(depth < MAX_DEPTH) { "JSON nested deeper than $MAX_DEPTH" }
            skipSpace()
            return when (peek()) {
                '{' -> members(depth)
                '[' -> elements(depth)
                '"' -> string()
                else -> token()
            }
        }

        private fun members(depth: Int): String {
            val found = sortedMapOf<String, String>()
            list('{', '}') {
                val key = string()
                skipSpace()
                take(':')
                found[key] = value(depth + 1)
            }
            return found.entries.joinToString(",", "{", "}") { "${it.key}:${it.value}" }
        }

        private fun elements(depth: Int): String {
            val found = mutableListOf<String>()
            list('[', ']') { found += value(depth + 1) }
            return found.joinToString(",", "[", "]")
        }

        private inline fun list(
            open: Char,
            close: Char,
            item: () -> Unit,
        ) {
            take(open)
            skipSpace()
            if (peek() == close) {
                take(close)
                return
            }
            while (true) {
                skipSpace()
                item()
                skipSpace()
                if (peek() == close) break
                take(',')
            }
            take(close)
        }

        private fun string(): String {
            val start = at
            take('"')
            while (peek() != '"') at += if (text[at] == '\\') 2 else 1
            take('"')
            return text.substring(start, at)
        }

        private fun token(): String {
            val start = at
            while (at < text.length && text[at] !in " \n\r\t,:[]{}\"") at++
            require(at > start) { "no JSON value at character $at" }
            return text.substring(start, at)
        }

        private fun take(expected: Char) {
            require(peek() == expected) { "'$expected' expected at character $at" }
            at++
        }

        private fun peek(): Char {
            require(at < text.length) { "the JSON text ends early" }
            return text[at]
        }
    }
}
