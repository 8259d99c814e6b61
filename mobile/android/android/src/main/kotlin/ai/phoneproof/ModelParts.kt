package ai.phoneproof

import ai.phoneproof.acceleration.GoldenCheck
import ai.phoneproof.acceleration.GoldenInput
import ai.phoneproof.acceleration.directBuffer
import ai.phoneproof.contract.Binding
import ai.phoneproof.contract.Contract
import ai.phoneproof.decode.OutputTensor
import ai.phoneproof.engine.Engine
import ai.phoneproof.engine.ModelFile
import ai.phoneproof.image.PictureInput
import ai.phoneproof.selftest.GoldenVectors
import java.nio.ByteBuffer

/** Where an engine's outputs are put for the decoder, in the engine's order. */
internal fun outputTensors(engine: Engine): List<OutputTensor> =
    engine.outputs.map { OutputTensor(it.name, it.dtype, it.shape, EMPTY) }

private val EMPTY: ByteBuffer = ByteBuffer.allocateDirect(0)

/** What lies in a bundle about one model file, read and checked against each other. */
internal class ModelParts private constructor(
    val contract: Contract,
    val binding: Binding,
    val file: ModelFile,
    val vectors: GoldenVectors?,
) {
    /** Golden inputs, made by [input] from the golden pictures; null where there are none. */
    fun check(input: PictureInput, leastSnrDb: Double): GoldenCheck? {
        val known = vectors ?: return null
        val chosen = known.cases.filter { it.isLossless && "alpha" !in it.flags }.take(CHECKED)
        if (chosen.isEmpty()) return null
        val inputs = chosen.map { case ->
            input.fill(known.picture(case))
            val copy = directBuffer(input.tensor.capacity())
            copy.put(input.tensor.duplicate().apply { clear() }).clear()
            GoldenInput(copy, case.outputs.map { known.values(it) })
        }
        return GoldenCheck(inputs, leastSnrDb)
    }

    /** @throws BindingError the loaded file does not have the tensors that the binding names. */
    fun requireTensors(engine: Engine) {
        val image = binding.image
        val given = engine.inputs[0]
        if (given.dtype != image.dtype || given.shape.size != image.shape.size) {
            throw otherTensor("input ${image.tensor}", "${given.dtype} ${given.shape}")
        }
        for (output in binding.outputs) {
            val found = engine.outputs.firstOrNull { it.name == output.tensor }
            if (found == null || found.dtype != output.dtype || found.shape != output.shape) {
                val all = engine.outputs.joinToString { "${it.name} ${it.dtype} ${it.shape}" }
                throw otherTensor("output ${output.tensor}", all)
            }
        }
    }

    private fun otherTensor(what: String, found: String) = BindingError(
        "the model's $what is not what the binding says",
        found,
        "use model and binding of one bundle",
    )

    companion object {
        private const val CHECKED = 2

        /**
         * Reads contract, binding and golden vectors beside the model file [path].
         *
         * @throws PhoneproofError a missing, altered or newer file, or parts of several bundles.
         */
        fun read(folder: ModelFolder, path: String): ModelParts {
            val contract = Contract.parse(String(folder.read("contract.json")))
            val binding = Binding.parse(String(folder.read("$path.binding.json")), contract)
            val file = folder.model(path, binding.artifact)
            return ModelParts(
                contract,
                binding,
                file,
                GoldenVectors.read(folder, contract, file.sha256),
            )
        }
    }
}
