package ai.phoneproof

import ai.phoneproof.contract.Binding
import ai.phoneproof.contract.Contract
import ai.phoneproof.contract.DType
import ai.phoneproof.decode.Decoder
import ai.phoneproof.decode.OutputTensor
import ai.phoneproof.pixels.GeometryPlan
import ai.phoneproof.vectors.VectorFile
import ai.phoneproof.vectors.source
import java.io.File
import java.nio.ByteBuffer
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Tensors that are not what the binding says; the vectors hold the bindings that are refused. */
internal class DecoderErrorsTest {
    private val case = VectorFile.cases(File(VectorFile.folder(), "decode.json")).first().json
    private val contract = Contract.parse(case.source("contract"))
    private val binding = Binding.parse(case.source("binding"), contract)
    private val decoder = Decoder(contract, binding)
    private val plan = GeometryPlan.of(contract.image, 100, 100)

    private fun zeros(
        name: String,
        shape: List<Int>,
        bytes: Int = shape.reduce(Int::times) * 4,
    ): OutputTensor = OutputTensor(name, DType.FLOAT32, shape, ByteBuffer.allocateDirect(bytes))

    private val boxes = zeros("boxes", listOf(1, 60, 4))
    private val scores = zeros("scores", listOf(1, 60, 3))

    private fun refused(vararg outputs: OutputTensor, index: Int = 0): OutputError =
        assertThrows(OutputError::class.java) {
            decoder.detections(outputs.asList(), plan, index)
        }

    @Test
    fun `a missing, misshapen or short tensor is refused`() {
        assertTrue(refused(boxes).message!!.contains("\"scores\""))
        refused(boxes, zeros("scores", listOf(1, 3, 60)))
        refused(boxes, zeros("scores", listOf(1, 60, 3), bytes = 60 * 3 * 4 - 1))
        refused(boxes, scores, index = 1)
        refused(boxes, scores, index = -1)
    }

    @Test
    fun `after a refusal the decoder works`() {
        refused(boxes)
        assertEquals(0, decoder.detections(listOf(scores, boxes), plan).size)
    }

    @Test
    fun `the function of another task is refused`() {
        assertThrows(ContractError::class.java) { decoder.classes(listOf(boxes, scores)) }
        assertThrows(ContractError::class.java) { decoder.raw(listOf(boxes, scores)) }
    }
}
