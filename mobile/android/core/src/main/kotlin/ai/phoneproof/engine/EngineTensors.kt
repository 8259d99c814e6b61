package ai.phoneproof.engine

import ai.phoneproof.EngineError
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** What every engine does alike with the tensors of a model file. */
public object EngineTensors {
    /**
     * An [Engine] feeds one image.
     *
     * @throws EngineError the model takes no tensor, or several.
     */
    @JvmStatic
    @Throws(EngineError::class)
    public fun requireOneInput(inputs: List<TensorInfo>) {
        if (inputs.size == 1) return
        throw EngineError(
            "the model does not have one input",
            "${inputs.size} inputs",
            "use a model that phoneproof built",
        )
    }

    /**
     * One direct buffer in native byte order for each of [tensors].
     *
     * @throws EngineError they take more memory than there is.
     */
    @JvmStatic
    @Throws(EngineError::class)
    public fun buffers(tensors: List<TensorInfo>): List<ByteBuffer> = tensors.map {
        try {
            ByteBuffer.allocateDirect(it.bytes).order(ByteOrder.nativeOrder())
        } catch (error: OutOfMemoryError) {
            throw EngineError(
                "there is no memory for a tensor of the model",
                "${it.name}: ${it.shape}, ${it.bytes} bytes",
                "use a smaller model, or close what else takes memory",
                error,
            )
        }
    }
}
