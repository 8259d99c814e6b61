@file:Suppress("UNUSED_PARAMETER", "unused")

package com.google.ai.edge.litert

// Names and signatures of what engine-litert calls, written after the public Kotlin sources of
// LiteRT 2.x (github.com/google-ai-edge/LiteRT, litert/kotlin). Nothing here computes: an app has
// com.google.ai.edge.litert:litert in its place.

private fun stub(): Nothing = throw UnsupportedOperationException("a stub of LiteRT")

public class LiteRtException(code: Int, message: String) : Exception("$code: $message")

public enum class Accelerator { NONE, CPU, GPU, NPU }

public abstract class JniHandle internal constructor() : AutoCloseable {
    final override fun close(): Unit = stub()
}

public class Environment private constructor() : JniHandle() {
    public enum class Option { CompilerPluginLibraryDir, DispatchLibraryDir }

    @Throws(LiteRtException::class)
    public fun getAvailableAccelerators(): Set<Accelerator> = stub()

    public companion object {
        @Throws(LiteRtException::class)
        @JvmOverloads
        @JvmStatic
        public fun create(options: Map<Option, String> = mapOf()): Environment = stub()
    }
}

public class TensorBuffer internal constructor() : JniHandle() {
    @Throws(LiteRtException::class)
    public fun writeInt(data: IntArray): Unit = stub()

    @Throws(LiteRtException::class)
    public fun writeFloat(data: FloatArray): Unit = stub()

    @Throws(LiteRtException::class)
    public fun writeInt8(data: ByteArray): Unit = stub()

    @Throws(LiteRtException::class)
    public fun readInt(): IntArray = stub()

    @Throws(LiteRtException::class)
    public fun readFloat(): FloatArray = stub()

    @Throws(LiteRtException::class)
    public fun readInt8(): ByteArray = stub()
}

public class CompiledModel private constructor() : JniHandle() {
    public data class CpuOptions(
        val numThreads: Int? = null,
        val xnnPackFlags: Int? = null,
        val xnnPackWeightCachePath: String? = null,
    )

    public class Options(public val accelerators: Set<Accelerator>) {
        public constructor(vararg accelerators: Accelerator) : this(setOf(*accelerators))

        public var cpuOptions: CpuOptions? = null
    }

    @Throws(LiteRtException::class)
    @JvmOverloads
    public fun createInputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = stub()

    @Throws(LiteRtException::class)
    @JvmOverloads
    public fun createOutputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = stub()

    @Throws(LiteRtException::class)
    @JvmOverloads
    public fun run(
        inputs: List<TensorBuffer>,
        outputs: List<TensorBuffer>,
        signatureIndex: Int = 0,
    ): Unit = stub()

    public companion object {
        @Throws(LiteRtException::class)
        @JvmOverloads
        @JvmStatic
        public fun create(
            filePath: String,
            options: Options = Options(Accelerator.CPU),
            optionalEnv: Environment? = null,
        ): CompiledModel = stub()
    }
}
