package ai.phoneproof.engine

import ai.phoneproof.EngineError
import ai.phoneproof.ModelFileError
import ai.phoneproof.contract.DType
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * The input and output tensors that a TFLite file names in its first signature, in that order, or
 * those of its first graph where it has none. Bindings use these names; neither `InterpreterApi`
 * nor LiteRT's `CompiledModel` tells them.
 *
 * @property inputIndices index of each input's tensor in the graph.
 * @property outputIndices likewise.
 */
public class TfLiteSignature private constructor(
    public val inputs: List<TensorInfo>,
    public val outputs: List<TensorInfo>,
    public val inputIndices: List<Int>,
    public val outputIndices: List<Int>,
) {
    /** The name of the tensor with this index of the graph, null where it is no input or output. */
    public fun name(index: Int): String? {
        val place = inputIndices.indexOf(index)
        if (place >= 0) return inputs[place].name
        return outputs.getOrNull(outputIndices.indexOf(index))?.name
    }

    public companion object {
        /**
         * Reads a TFLite file.
         *
         * @param model the whole file; its position is left alone.
         * @throws ModelFileError no TFLite file, or one with tensors of a type that is not handled.
         */
        @JvmStatic
        @Throws(ModelFileError::class)
        @Suppress("TooGenericExceptionCaught") // an index outside is what a broken file leads to
        public fun read(model: ByteBuffer): TfLiteSignature {
            val bytes = model.duplicate().order(ByteOrder.LITTLE_ENDIAN)
            bytes.clear()
            return try {
                val isTagged = bytes.limit() > HEAD && tag(bytes) == "TFL3"
                require(isTagged) { "the bytes TFL3 are missing" }
                read(FlatFile(bytes))
            } catch (error: IndexOutOfBoundsException) {
                throw noModel("it ends early, or its tables point outside", error)
            } catch (error: IllegalArgumentException) {
                throw noModel(error.message, error)
            } catch (error: EngineError) {
                throw noModel(error.found, error)
            }
        }

        private fun read(file: FlatFile): TfLiteSignature {
            val root = file.root()
            val signature = file.tables(root, MODEL_SIGNATURES).firstOrNull()
            val graphs = file.tables(root, MODEL_GRAPHS)
            val graph = graphs[signature?.let { file.int(it, SIGNATURE_GRAPH) } ?: 0]
            val tensors = file.tables(graph, GRAPH_TENSORS)
            val ins = side(file, signature, SIGNATURE_INPUTS, graph, GRAPH_INPUTS, tensors)
            val outs = side(file, signature, SIGNATURE_OUTPUTS, graph, GRAPH_OUTPUTS, tensors)
            return TfLiteSignature(
                ins.map { info(file, it.first, tensors[it.second]) },
                outs.map { info(file, it.first, tensors[it.second]) },
                ins.map { it.second },
                outs.map { it.second },
            )
        }

        /** Names and indices. */
        private fun side(
            file: FlatFile,
            signature: Int?,
            signatureField: Int,
            graph: Int,
            graphField: Int,
            tensors: List<Int>,
        ): List<Pair<String, Int>> {
            if (signature == null) {
                val indices = file.ints(graph, graphField)
                return indices.map { file.text(tensors[it], TENSOR_NAME) to it }
            }
            return file.tables(signature, signatureField).map {
                file.text(it, MAP_NAME) to file.int(it, MAP_INDEX)
            }
        }

        private fun info(file: FlatFile, name: String, tensor: Int): TensorInfo {
            val type = file.byte(tensor, TENSOR_TYPE)
            val dtype = requireNotNull(DTYPES[type]) { "tensor $name has the type number $type" }
            return TensorInfo(name, dtype, file.ints(tensor, TENSOR_SHAPE))
        }

        private fun tag(bytes: ByteBuffer) =
            String(CharArray(4) { Char(bytes.get(4 + it).toInt()) })

        private fun noModel(found: String?, cause: Exception) = ModelFileError(
            "this is no TFLite file",
            found,
            "use the file of the bundle, unedited",
            cause,
        )

        private const val HEAD = 8

        // Field numbers of TensorFlow Lite's schema (tables Model, SubGraph, Tensor, SignatureDef,
        // TensorMap) and its numbers of types.
        private const val MODEL_GRAPHS = 2
        private const val MODEL_SIGNATURES = 7
        private const val GRAPH_TENSORS = 0
        private const val GRAPH_INPUTS = 1
        private const val GRAPH_OUTPUTS = 2
        private const val TENSOR_SHAPE = 0
        private const val TENSOR_TYPE = 1
        private const val TENSOR_NAME = 3
        private const val SIGNATURE_INPUTS = 0
        private const val SIGNATURE_OUTPUTS = 1
        private const val SIGNATURE_GRAPH = 4
        private const val MAP_NAME = 0
        private const val MAP_INDEX = 1

        private val DTYPES = mapOf(
            0 to DType.FLOAT32,
            1 to DType.FLOAT16,
            2 to DType.INT32,
            3 to DType.UINT8,
            4 to DType.INT64,
            6 to DType.BOOL,
            7 to DType.INT16,
            9 to DType.INT8,
        )
    }
}

/** The little of the FlatBuffers format that is needed: tables, vectors, text. */
private class FlatFile(private val bytes: ByteBuffer) {
    fun root(): Int = bytes.getInt(0)

    fun tables(table: Int, field: Int): List<Int> = vector(table, field) { entry ->
        entry + bytes.getInt(entry)
    }

    fun ints(table: Int, field: Int): List<Int> = vector(table, field) { bytes.getInt(it) }

    fun int(table: Int, field: Int): Int =
        place(table, field).let { if (it == 0) 0 else bytes.getInt(it) }

    fun byte(table: Int, field: Int): Int =
        place(table, field).let { if (it == 0) 0 else bytes.get(it).toInt() }

    fun text(table: Int, field: Int): String {
        val at = place(table, field)
        require(at != 0) { "a name is missing" }
        val start = at + bytes.getInt(at)
        val length = bytes.getInt(start)
        require(length in 0..MAX_NAME) { "a name of $length bytes" }
        return String(ByteArray(length) { bytes.get(start + Int.SIZE_BYTES + it) })
    }

    private fun vector(table: Int, field: Int, item: (Int) -> Int): List<Int> {
        val at = place(table, field)
        if (at == 0) return emptyList()
        val start = at + bytes.getInt(at)
        val count = bytes.getInt(start)
        require(count in 0..bytes.limit() / Int.SIZE_BYTES) { "a vector of $count entries" }
        return List(count) { item(start + Int.SIZE_BYTES * (it + 1)) }
    }

    /** Where a field of a table lies; 0 where the table has none. */
    private fun place(table: Int, field: Int): Int {
        val fields = table - bytes.getInt(table)
        val entry = Short.SIZE_BYTES * (field + 2)
        if (entry >= bytes.getShort(fields)) return 0
        val offset = bytes.getShort(fields + entry).toInt() and 0xffff
        return if (offset == 0) 0 else table + offset
    }

    private companion object {
        const val MAX_NAME = 10_000
    }
}
