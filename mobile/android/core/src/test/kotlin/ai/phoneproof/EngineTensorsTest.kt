package ai.phoneproof

import ai.phoneproof.contract.DType
import ai.phoneproof.engine.EngineTensors
import ai.phoneproof.engine.TensorInfo
import java.nio.ByteOrder
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Tensors as model files claim them, hostile ones among them. */
internal class EngineTensorsTest {
    @Test
    fun `a tensor that no buffer can hold is refused`() {
        val shapes = listOf(listOf(65_536, 65_536), listOf(1, -1), List(9) { Int.MAX_VALUE })
        for (shape in shapes) {
            val error = assertThrows(EngineError::class.java) {
                TensorInfo("out", DType.FLOAT32, shape)
            }
            assertTrue("$error", "out" in error.found.orEmpty())
        }
        assertEquals(4, TensorInfo("scalar", DType.FLOAT32, emptyList()).bytes)
        assertEquals(0, TensorInfo("none", DType.FLOAT32, listOf(1, 0)).bytes)
    }

    @Test
    fun `a model takes one picture`() {
        val one = TensorInfo("image", DType.UINT8, listOf(1, 2, 3))
        EngineTensors.requireOneInput(listOf(one))
        for (inputs in listOf(emptyList(), listOf(one, one))) {
            assertThrows(EngineError::class.java) { EngineTensors.requireOneInput(inputs) }
        }
    }

    @Test
    fun `buffers are direct, in native order and of the tensors' sizes`() {
        val infos = listOf(3, 0).map { TensorInfo("out", DType.INT16, listOf(1, it)) }
        val buffers = EngineTensors.buffers(infos)
        assertEquals(listOf(6, 0), buffers.map { it.capacity() })
        assertTrue(buffers.all { it.isDirect && it.order() == ByteOrder.nativeOrder() })
    }
}
