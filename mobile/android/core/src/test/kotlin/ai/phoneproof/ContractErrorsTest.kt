package ai.phoneproof

import ai.phoneproof.contract.Binding
import ai.phoneproof.contract.Contract
import ai.phoneproof.vectors.VectorFile
import ai.phoneproof.vectors.source
import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Damaged or foreign documents: a typed error that says what to do, and nothing else. */
internal class ContractErrorsTest {
    private val case = VectorFile.cases(File(VectorFile.folder(), "decode.json")).first().json
    private val contract = case.source("contract")
    private val binding = case.source("binding")

    private fun contractError(text: String): ContractError =
        assertThrows(ContractError::class.java) { Contract.parse(text) }.also(::checkWords)

    private fun bindingError(text: String): BindingError =
        assertThrows(BindingError::class.java) { Binding.parse(text) }.also(::checkWords)

    private fun checkWords(error: PhoneproofError) {
        assertTrue(error.failed.isNotBlank())
        assertNotNull(error.message, error.nextStep)
        assertTrue(error.message!!.contains(error.nextStep!!))
    }

    @Test
    fun `the documents themselves are read and belong together`() {
        val read = Contract.parse(contract)
        assertEquals(read.sha256, Binding.parse(binding, read).contract)
    }

    @Test
    fun `white space and the order of fields do not change the hash`() {
        val spread = contract.replace(",\"", " ,\n  \"").replace("\":", "\" :\t")
        assertEquals(Contract.parse(contract).sha256, Contract.parse(spread).sha256)
    }

    @Test
    fun `a newer schema asks for a newer library`() {
        val newer = contractError(contract.replace("contract/1", "contract/2"))
        assertTrue(newer.message!!.contains("phoneproof.contract/2"))
        bindingError(binding.replace("binding/1", "binding/7"))
    }

    @Test
    fun `text that is no JSON is refused at every length`() {
        for (length in 0 until contract.length step 7) contractError(contract.take(length))
        for (length in 0 until binding.length step 7) bindingError(binding.take(length))
        contractError(contract + "x")
        contractError("[".repeat(100_000))
        contractError("{\"name\": \"\\u12\"}")
        contractError("[]")
    }

    @Test
    fun `missing, unknown and repeated fields are named`() {
        assertEquals("name", contractError(contract.replace("\"name\":\"vectors\",", "")).found)
        val added = contract.replaceFirst("{", "{\"colour\":1,")
        assertEquals("colour", contractError(added).found)
        contractError(contract.replaceFirst("{", "{\"name\":\"twice\","))
        assertEquals("contract", bindingError(binding.replace(CONTRACT_FIELD, "")).found)
    }

    @Test
    fun `values of another type or out of range are refused`() {
        for ((from, to) in WRONG) {
            assertTrue(from, contract.contains(from))
            contractError(contract.replace(from, to))
        }
    }

    @Test
    fun `a binding of another contract is refused`() {
        val other = Contract.parse(contract.replace("1.0.0", "1.0.1"))
        val error = assertThrows(BindingError::class.java) { Binding.parse(binding, other) }
        checkWords(error)
        assertTrue(error.found!!.contains(other.sha256.take(12)))
    }

    private companion object {
        val CONTRACT_FIELD = Regex("\"contract\":\"[0-9a-f]*\",")
        val WRONG = listOf(
            "\"detect\"" to "\"embed\"",
            "\"rgb\"" to "\"gray\"",
            "\"scale\":0.00392156862745098" to "\"scale\":0",
            "\"scale\":0.00392156862745098" to "\"scale\":\"1\"",
            "\"scale\":0.00392156862745098" to "\"scale\":1e999",
            "\"std\":[1.0,1.0,1.0]" to "\"std\":[1.0,1.0]",
            "\"opencv.linear\"" to "\"opencv.lanczos\"",
            "\"opencv.linear\"" to "\"tensorflow.bilinear_legacy\"",
            "\"size\":[64,96]" to "\"size\":[64]",
            "\"size\":[64,96]" to "\"size\":[0,96]",
            "\"size\":[64,96]" to "\"size\":[64.5,96]",
            "\"value\":[114,114,114]" to "\"value\":[114,114,256]",
            "\"confidence\":0.9" to "\"confidence\":1.5",
            "\"iou\":0.5" to "\"iou\":0",
            "\"labels\":[\"cat\"" to "\"labels\":[1",
            "\"alpha\":\"drop\"" to "\"alpha\":[1,2]",
        )
    }
}
