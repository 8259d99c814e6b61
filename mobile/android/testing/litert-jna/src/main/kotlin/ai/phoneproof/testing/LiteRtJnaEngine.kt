package ai.phoneproof.testing

import ai.phoneproof.EngineError
import ai.phoneproof.contract.DType
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.Engine
import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.engine.ModelFile
import ai.phoneproof.engine.TensorInfo
import com.sun.jna.Memory
import com.sun.jna.Native
import com.sun.jna.NativeLong
import com.sun.jna.Pointer
import com.sun.jna.ptr.NativeLongByReference
import com.sun.jna.ptr.PointerByReference
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.concurrent.ConcurrentHashMap

/** Opens TFLite files with the LiteRT C library at [library] (`libLiteRt.so` of the wheel). */
public class LiteRtJna(library: File) : EngineFactory {
    private val c = loaded.computeIfAbsent(library.path) { Native.load(it, LiteRtC::class.java) }

    override val name: String = "LiteRT"

    override val candidates: List<Accelerator> = Accelerator.CPU_CHOICES

    override fun open(model: ModelFile, accelerator: Accelerator): Engine {
        val file =
            model.file ?: throw EngineError("LiteRT cannot open the model", "it lies in no file")
        return LiteRtJnaEngine(c, file, accelerator)
    }

    private companion object {
        /**
         * For ever: what nothing refers to any more is unloaded, and the process then crashes at
         * its end, in exit handlers of the library that are no longer there.
         */
        val loaded = ConcurrentHashMap<String, LiteRtC>()
    }
}

internal class LiteRtJnaEngine(
    private val c: LiteRtC,
    file: File,
    override val accelerator: Accelerator,
) : Engine {
    override val name: String = "LiteRT"
    override val version: String = ""

    private val undo = ArrayDeque<() -> Unit>()

    /** The library reads the options and calls their deleter later: they must not be collected. */
    private val kept = ArrayList<Any>()
    private val compiled: Pointer
    private val ins: Array<Pointer>
    private val outs: Array<Pointer>
    override val inputs: List<TensorInfo>
    override val outputs: List<TensorInfo>
    private val results: List<ByteBuffer>
    private val address = PointerByReference()

    init {
        try {
            val environment = environment()
            val model = made(
                c::LiteRtDestroyModel,
            ) { c.LiteRtCreateModelFromFile(environment, file.path, it) }
            val options = options(accelerator.threads ?: 1)
            compiled = made(c::LiteRtDestroyCompiledModel) {
                c.LiteRtCreateCompiledModel(environment, model, options, it)
            }
            val signature = pointer { c.LiteRtGetModelSignature(model, NativeLong(0), it) }
            val inputSide = sides(environment, signature, isInput = true)
            val outputSide = sides(environment, signature, isInput = false)
            inputs = inputSide.map { it.first }
            outputs = outputSide.map { it.first }
            ins = inputSide.map { it.second }.toTypedArray()
            outs = outputSide.map { it.second }.toTypedArray()
            results =
                outputs.map { ByteBuffer.allocateDirect(it.bytes).order(ByteOrder.nativeOrder()) }
        } catch (error: EngineError) {
            close()
            throw error
        }
    }

    override fun run(input: ByteBuffer): List<ByteBuffer> {
        locked(ins[0], WRITE) {
            it.getByteBuffer(0, inputs[0].bytes.toLong()).put(input.duplicate())
        }
        checked(
            c.LiteRtRunCompiledModel(
                compiled,
                NativeLong(0),
                NativeLong(ins.size.toLong()),
                ins,
                NativeLong(outs.size.toLong()),
                outs,
            ),
        )
        for ((index, result) in results.withIndex()) {
            result.clear()
            locked(outs[index], READ) {
                result.put(it.getByteBuffer(0, result.capacity().toLong()))
            }
            result.clear()
        }
        return results
    }

    override fun close() {
        while (undo.isNotEmpty()) undo.removeLast()()
    }

    private fun environment(): Pointer {
        val quiet = Memory(LOG_OPTION_BYTES).apply { clear() }
        quiet.setInt(0, LOG_LEVEL)
        quiet.setInt(8, INTEGER)
        quiet.setLong(16, ERRORS_ONLY)
        return made(c::LiteRtDestroyEnvironment) { c.LiteRtCreateEnvironment(1, quiet, it) }
    }

    private fun options(threads: Int): Pointer {
        val options = made(c::LiteRtDestroyOptions) { c.LiteRtCreateOptions(it) }
        checked(c.LiteRtSetOptionsHardwareAccelerators(options, CPU))
        val words = "num_threads = $threads\n"
        val payload = Memory(words.length + 1L).apply { setString(0, words) }
        val deleter = LiteRtC.Deleter { }
        val opaque = pointer { c.LiteRtCreateOpaqueOptions("xnnpack", payload, deleter, it) }
        checked(c.LiteRtAddOpaqueOptions(options, opaque))
        kept.add(payload)
        kept.add(deleter)
        return options
    }

    private fun sides(
        environment: Pointer,
        signature: Pointer,
        isInput: Boolean,
    ): List<Pair<TensorInfo, Pointer>> {
        val count = NativeLongByReference()
        checked(
            if (isInput) {
                c.LiteRtGetNumSignatureInputs(signature, count)
            } else {
                c.LiteRtGetNumSignatureOutputs(signature, count)
            },
        )
        return (0 until count.value.toLong()).map {
            side(environment, signature, NativeLong(it), isInput)
        }
    }

    private fun side(
        environment: Pointer,
        signature: Pointer,
        index: NativeLong,
        isInput: Boolean,
    ): Pair<TensorInfo, Pointer> {
        val first = NativeLong(0)
        val (name, tensor, requirements) = if (isInput) {
            Triple(
                pointer { c.LiteRtGetSignatureInputName(signature, index, it) },
                pointer { c.LiteRtGetSignatureInputTensorByIndex(signature, index, it) },
                pointer {
                    c.LiteRtGetCompiledModelInputBufferRequirements(compiled, first, index, it)
                },
            )
        } else {
            Triple(
                pointer { c.LiteRtGetSignatureOutputName(signature, index, it) },
                pointer { c.LiteRtGetSignatureOutputTensorByIndex(signature, index, it) },
                pointer {
                    c.LiteRtGetCompiledModelOutputBufferRequirements(compiled, first, index, it)
                },
            )
        }
        val type = Memory(TENSOR_TYPE_BYTES)
        checked(c.LiteRtGetRankedTensorType(tensor, type))
        val buffer = made(c::LiteRtDestroyTensorBuffer) {
            c.LiteRtCreateManagedTensorBufferFromRequirements(environment, type, requirements, it)
        }
        return info(name.getString(0), type) to buffer
    }

    private fun info(name: String, type: Memory): TensorInfo {
        val rank = type.getInt(RANK_AT) and RANK_BITS
        val dtype =
            DTYPES[type.getInt(0)] ?: throw failed("element type ${type.getInt(0)} of $name")
        return TensorInfo(name, dtype, List(rank) { type.getInt(DIMENSIONS_AT + 4L * it) })
    }

    private inline fun locked(buffer: Pointer, mode: Int, use: (Pointer) -> Unit) {
        checked(c.LiteRtLockTensorBuffer(buffer, address, mode))
        try {
            use(address.value)
        } finally {
            checked(c.LiteRtUnlockTensorBuffer(buffer))
        }
    }

    private fun made(destroy: (Pointer) -> Unit, make: (PointerByReference) -> Int): Pointer =
        pointer(make).also { undo.addLast { destroy(it) } }

    private fun pointer(make: (PointerByReference) -> Int): Pointer {
        val found = PointerByReference()
        checked(make(found))
        return found.value
    }

    private fun checked(status: Int) {
        if (status != 0) throw failed("LiteRT status $status")
    }

    private fun failed(found: String) = EngineError(
        "LiteRT cannot run the model",
        found,
        "check that it is a TFLite file of a known version",
    )

    private companion object {
        const val CPU = 1
        const val READ = 0
        const val WRITE = 1
        const val LOG_OPTION_BYTES = 24L
        const val LOG_LEVEL = 25
        const val INTEGER = 2
        const val ERRORS_ONLY = 3L

        /** Element type, rank in the low seven bits, eight sides, eight strides. */
        const val TENSOR_TYPE_BYTES = 72L
        const val RANK_AT = 4L
        const val RANK_BITS = 0x7f
        const val DIMENSIONS_AT = 8L

        val DTYPES = mapOf(
            1 to DType.FLOAT32,
            2 to DType.INT32,
            3 to DType.UINT8,
            4 to DType.INT64,
            6 to DType.BOOL,
            7 to DType.INT16,
            9 to DType.INT8,
            10 to DType.FLOAT16,
        )
    }
}
