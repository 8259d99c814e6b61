package ai.phoneproof.image

private const val SOI = 0xd8
private const val EOI = 0xd9
private const val SOS = 0xda
private const val FIRST_RESTART = 0xd0

/**
 * Whether [bytes] are a JPEG file whose end-of-image marker is missing. Android decodes such files
 * without an error. Segments are walked, so that the end of an embedded thumbnail does not count.
 */
internal fun endsEarly(bytes: ByteArray): Boolean {
    if (bytes.size < 4 || byteAt(bytes, 0) != 0xff || byteAt(bytes, 1) != SOI) return false
    var at = 2
    while (at + 1 < bytes.size) {
        if (byteAt(bytes, at) != 0xff) return false // the decoder's matter
        val marker = byteAt(bytes, at + 1)
        when {
            marker == EOI -> return false

            marker == 0xff -> at += 1

            marker in FIRST_RESTART..SOI || marker == 1 -> at += 2

            at + 3 >= bytes.size -> return true

            else -> {
                at += 2 + (byteAt(bytes, at + 2) shl 8) + byteAt(bytes, at + 3)
                if (marker == SOS) at = afterScan(bytes, at)
            }
        }
    }
    return true
}

/** Index of the first marker behind entropy-coded data: FF followed by neither 00 nor a restart. */
private fun afterScan(bytes: ByteArray, from: Int): Int {
    var at = from
    while (at + 1 < bytes.size) {
        if (byteAt(bytes, at) == 0xff) {
            val next = byteAt(bytes, at + 1)
            if (next != 0 && next !in FIRST_RESTART until SOI) return at
        }
        at++
    }
    return bytes.size
}

private fun byteAt(bytes: ByteArray, index: Int): Int = bytes[index].toInt() and 0xff
