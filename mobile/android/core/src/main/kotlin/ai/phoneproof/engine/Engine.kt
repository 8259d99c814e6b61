package ai.phoneproof.engine

import ai.phoneproof.EngineError
import ai.phoneproof.PhoneproofError
import ai.phoneproof.contract.DType
import java.io.Closeable
import java.io.File
import java.nio.ByteBuffer

/**
 * One tensor of a model file.
 *
 * @property name as the binding calls it.
 * @property dtype type of the elements.
 * @property shape with the leading batch dimension.
 * @throws EngineError the shape has a side below 0, or more than 2 GB.
 */
public data class TensorInfo(
    public val name: String,
    public val dtype: DType,
    public val shape: List<Int>,
) {
    /** Bytes of the whole tensor. */
    public val bytes: Int = shape.fold(dtype.bytes.toLong()) { product, side ->
        val bytes = product * side
        if (bytes !in 0..Int.MAX_VALUE) throw noBuffer()
        bytes
    }.toInt()

    private fun noBuffer() = EngineError(
        "no buffer can hold a tensor of the model",
        "$name: $shape of ${dtype.name.lowercase()}",
        "use a model of fixed sizes that phoneproof built",
    )
}

/**
 * A loaded model with one image input. Not safe for several threads at once; `VisionModel` takes
 * care of that.
 */
public interface Engine : Closeable {
    /** The library, for people: `TensorFlow Lite`. */
    public val name: String

    /** Version of the library, empty where it does not tell. */
    public val version: String

    /** What the model was loaded for. */
    public val accelerator: Accelerator

    /** The input tensors in the file's order. */
    public val inputs: List<TensorInfo>

    /** The output tensors in the file's order. */
    public val outputs: List<TensorInfo>

    /**
     * Runs the model once.
     *
     * @param input direct, in native byte order, from position 0: exactly `inputs[0].bytes` bytes.
     * @return one direct buffer in native byte order for each of [outputs], from position 0. They
     *   belong to the engine and hold until the next call.
     * @throws PhoneproofError where the library fails.
     */
    @Throws(PhoneproofError::class)
    public fun run(input: ByteBuffer): List<ByteBuffer>

    /** Frees what the library holds; further calls do nothing. */
    override fun close()
}

/** Opens model files with one library. */
public interface EngineFactory {
    /** The library, for people. */
    public val name: String

    /** What may be tried on this device, the most promising one first. */
    public val candidates: List<Accelerator>

    /**
     * Loads a model.
     *
     * @throws PhoneproofError where the library refuses the file or has no such accelerator.
     */
    @Throws(PhoneproofError::class)
    public fun open(model: ModelFile, accelerator: Accelerator): Engine
}

/**
 * The bytes of a model, as an engine wants them.
 *
 * @property bytes direct and read-only, mapped where that was possible.
 * @property sha256 of the bytes, lower-case hexadecimal.
 * @property file where they lie, null where they lie inside an APK.
 */
public class ModelFile(
    public val bytes: ByteBuffer,
    public val sha256: String,
    public val file: File?,
)
