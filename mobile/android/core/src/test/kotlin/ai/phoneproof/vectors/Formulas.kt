package ai.phoneproof.vectors

import ai.phoneproof.json.JsonObject

// The pictures of golden vectors by formula; all arithmetic modulo 2^32.

private const val SEED_FACTOR = 0x9E3779B1u
private const val INDEX_FACTOR = 0x85EBCA77u

/** [count] bytes of hash noise. */
internal fun noise(seed: Int, count: Int): ByteArray = ByteArray(count) { index ->
    var x = seed.toUInt() * SEED_FACTOR + index.toUInt() * INDEX_FACTOR
    x = x xor (x shr 15)
    x *= 0x2C1B3C6Du
    x = x xor (x shr 12)
    x *= 0x297A2D39u
    x = x xor (x shr 15)
    (x shr 24).toByte()
}

/** Slow gradients that cross each other. */
internal fun waves(seed: Int, height: Int, width: Int, channels: Int): ByteArray =
    ByteArray(height * width * channels) { index ->
        val channel = index % channels
        val x = index / channels % width
        val y = index / channels / width
        val product = x.toUInt() * y.toUInt() * seed.toUInt() / 64u
        val sum = seed.toUInt() * 37u + x.toUInt() * 7u + y.toUInt() * 11u
        val v = ((sum + channel.toUInt() * 83u + product) % 511u).toInt()
        (if (v <= 255) v else 510 - v).toByte()
    }

/** uint8 [height, width, channels]. */
internal class FormulaPicture(
    val height: Int,
    val width: Int,
    val channels: Int,
    val values: ByteArray,
) {
    /** Three equal channels of one; three are left as they are. */
    fun rgb(): ByteArray =
        if (channels == 3) values else ByteArray(values.size * 3) { values[it / 3] }

    companion object {
        fun of(json: JsonObject): FormulaPicture {
            val height = json.int("height")
            val width = json.int("width")
            val channels = json.int("channels")
            val seed = json.int("seed")
            val values = when (val kind = json.text("kind")) {
                "noise" -> noise(seed, height * width * channels)
                "waves" -> waves(seed, height, width, channels)
                else -> error("no picture of kind $kind")
            }
            return FormulaPicture(height, width, channels, values)
        }
    }
}
