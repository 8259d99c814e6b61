package ai.phoneproof.selftest

import ai.phoneproof.ImageError
import ai.phoneproof.ModelFileError
import ai.phoneproof.ModelFolder
import ai.phoneproof.ModelParts
import ai.phoneproof.PhoneproofError
import ai.phoneproof.acceleration.AcceleratedEngine
import ai.phoneproof.acceleration.GoldenCheck
import ai.phoneproof.acceleration.GoldenInput
import ai.phoneproof.acceleration.MemoryStore
import ai.phoneproof.acceleration.TrialLimits
import ai.phoneproof.acceleration.directBuffer
import ai.phoneproof.contract.InputBinding
import ai.phoneproof.contract.Layout
import ai.phoneproof.contract.Task
import ai.phoneproof.decode.Decoder
import ai.phoneproof.decode.OutputTensor
import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.image.PictureInput
import ai.phoneproof.pixels.GeometryPlan
import java.nio.ByteBuffer

/** What was compared with what Python recorded. */
public enum class GoldenStage {
    /** After the geometry, before values are scaled. */
    PIXELS,

    /** What the model is fed. */
    TENSOR,

    /** Boxes or classes, of recorded outputs. */
    RESULTS,

    /** What the engine computes. */
    OUTPUTS,
}

/**
 * A picture of which something else came out than in Python.
 *
 * @property picture its id in the bundle's `golden/index.json`.
 * @property cause the likely one, and so what to look at first.
 */
public data class GoldenDifference(
    public val picture: String,
    public val stage: GoldenStage,
    public val found: String,
    public val cause: String,
) {
    override fun toString(): String =
        "$picture, ${stage.name.lowercase()}: $found; likely cause: $cause"
}

/**
 * Proves that this app feeds its model what Python fed it, and reads the outputs as Python does:
 * the lossless golden pictures of the bundle, whose pixels are the same on every platform.
 *
 * [differences] needs no engine and runs in a unit test; [differencesOn] runs on the device.
 *
 * @throws PhoneproofError parts of the bundle are missing or do not fit, or it has no golden
 *   vectors of this model.
 */
public class GoldenProof(folder: ModelFolder, private val model: String) {
    private val parts = ModelParts.read(folder, model)
    private val vectors = parts.vectors ?: throw nothing("no golden vectors of this model")
    private val cases =
        vectors.cases.filter { it.isLossless }.ifEmpty { throw nothing("no lossless picture") }
    private val input = PictureInput(parts.contract.image, parts.binding.image)
    private val pixels = PictureInput(parts.contract.image, pixelBinding())
    private val decoder = Decoder(parts.contract, parts.binding)

    /** The ids of the pictures that are compared, at least one. */
    public val pictures: List<String> get() = cases.map { it.id }

    /**
     * Pixels and tensors that differ in any bit, and results that differ: in order, class, box (by
     * more than 1e-4 pixels) or score (by more than 1e-6). Results are those of recorded outputs,
     * of the pictures whose outputs were kept whole.
     *
     * @return none where everything is equal.
     */
    public fun differences(): List<GoldenDifference> {
        val found = cases.mapNotNull { difference(it) }
        return explained(found, cases)
    }

    /**
     * Pictures whose outputs are wrong on the accelerator that this device would choose.
     *
     * @param leastSnrDb least signal-to-noise ratio of an output against the recorded one.
     * @throws PhoneproofError no accelerator computes the model rightly.
     */
    @JvmOverloads
    @Throws(PhoneproofError::class)
    public fun differencesOn(
        engines: EngineFactory,
        limits: TrialLimits = TrialLimits(),
        leastSnrDb: Double = 35.0,
    ): List<GoldenDifference> {
        val inputs = cases.map { golden(it) }
        val check = GoldenCheck(inputs, leastSnrDb)
        val first = GoldenCheck(inputs.take(CHOSEN_BY), leastSnrDb)
        val store = MemoryStore()
        return AcceleratedEngine.open(
            engines,
            parts.file,
            first,
            store,
            KEY,
            limits,
        ).use { engine ->
            parts.requireTensors(engine)
            inputs.indices.mapNotNull { place ->
                val outputs = engine.run(inputs[place].input)
                check.reasonAgainst(inputs[place], engine.outputs, outputs)?.let { reason ->
                    val cause = "${engine.acceleratorInUse} computes something else on this device"
                    GoldenDifference(cases[place].id, GoldenStage.OUTPUTS, reason, cause)
                }
            }
        }
    }

    private fun golden(case: GoldenCase): GoldenInput {
        input.fill(vectors.picture(case))
        val copy = directBuffer(input.tensor.capacity())
        copy.put(input.tensor.duplicate().apply { clear() }).clear()
        return GoldenInput(copy, case.outputs.map { vectors.values(it) })
    }

    private fun difference(case: GoldenCase): GoldenDifference? {
        val picture = vectors.picture(case)
        val plan = try {
            pixels.fill(picture)
            input.fill(picture)
        } catch (error: ImageError) {
            val cause = "this device does not decode ${case.file.substringAfterLast('.')}"
            return GoldenDifference(case.id, GoldenStage.PIXELS, error.failed, cause)
        }
        return tensorDifference(case, GoldenStage.PIXELS, case.pixels, pixels.tensor)
            ?: tensorDifference(case, GoldenStage.TENSOR, case.input, input.tensor)
            ?: resultDifference(case, plan)
    }

    private fun tensorDifference(
        case: GoldenCase,
        stage: GoldenStage,
        golden: GoldenTensor,
        tensor: ByteBuffer,
    ): GoldenDifference? {
        val compared = ComparedTensor(golden, vectors.values(golden).values, tensor)
        if (compared.isEqual) return null
        val cause = if (stage == GoldenStage.PIXELS) {
            compared.pixelCause()
        } else {
            compared.valueCause()
        }
        return GoldenDifference(case.id, stage, compared.found(), cause)
    }

    private fun resultDifference(case: GoldenCase, plan: GeometryPlan): GoldenDifference? {
        val expected = case.results ?: return null
        if (case.outputs.any { it.every != 1 }) return null
        val outputs = case.outputs.map { tensor ->
            val bytes = vectors.bytes(tensor)
            val copy = directBuffer(bytes.size)
            copy.put(bytes).clear()
            OutputTensor(tensor.name, tensor.dtype, tensor.shape, copy)
        }
        val found = when (parts.contract.task) {
            Task.DETECT -> decoder.detections(outputs, plan).map { it.asGolden() }
            Task.CLASSIFY -> decoder.classes(outputs).take(expected.size).map { it.asGolden() }
            Task.RAW -> return null
        }
        val reason = resultsApart(expected, found) ?: return null
        return GoldenDifference(case.id, GoldenStage.RESULTS, reason, RESULT_CAUSE)
    }

    /** The pixels themselves as a tensor, in the layout of the golden ones. */
    private fun pixelBinding(): InputBinding {
        val golden = cases.first().pixels
        return InputBinding(
            tensor = golden.name,
            shape = listOf(1) + golden.shape,
            layout = Layout.NHWC,
            dtype = golden.dtype,
            normaliseInFile = true,
        )
    }

    private fun nothing(found: String) = ModelFileError(
        "there is nothing to prove $model with",
        found,
        "copy the bundle's golden folder beside contract.json",
    )

    private companion object {
        /** As when the app opens the model. */
        const val CHOSEN_BY = 2
        const val KEY = "proof"
        const val RESULT_CAUSE =
            "the decoder (threshold, suppression, box format), or a contract.json of another build"
    }
}
