package ai.phoneproof

import ai.phoneproof.contract.Crop
import ai.phoneproof.contract.DType
import ai.phoneproof.contract.Filter
import ai.phoneproof.contract.PixelValues
import ai.phoneproof.contract.Resize
import ai.phoneproof.contract.ResizeTo
import ai.phoneproof.contract.Size
import ai.phoneproof.pixels.ArgbPicture
import ai.phoneproof.pixels.PixelPipeline
import ai.phoneproof.pixels.RgbPicture
import ai.phoneproof.pixels.YuvPicture
import ai.phoneproof.vectors.plainBinding
import ai.phoneproof.vectors.plainInput
import java.nio.ByteBuffer
import java.util.concurrent.CountDownLatch
import java.util.concurrent.atomic.AtomicInteger
import kotlin.concurrent.thread
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Pictures and bindings that cannot be: typed errors, never an index out of bounds. */
internal class ImageErrorsTest {
    private fun refused(picture: () -> Unit) {
        assertThrows(ImageError::class.java) { picture() }
    }

    @Test
    fun `a picture without pixels, or with too many, is refused`() {
        refused { RgbPicture(ByteArray(0), 0, 5) }
        refused { ArgbPicture(IntArray(0), 5, -1) }
        refused { RgbPicture(ByteArray(3), 65_535, 65_535) }
        refused { ArgbPicture(IntArray(1), Int.MAX_VALUE, Int.MAX_VALUE) }
    }

    @Test
    fun `an array that does not fill the picture is refused`() {
        refused { RgbPicture(ByteArray(4 * 5 * 3 - 1), 4, 5) }
        refused { RgbPicture(ByteArray(60), 4, 5, rowStride = 14) }
        refused { RgbPicture(ByteArray(60), 4, 5, offset = -1) }
        refused { ArgbPicture(IntArray(20), 4, 5, offset = 1) }
        refused { ArgbPicture(IntArray(20), 4, 5, rowStride = 6) }
        RgbPicture(ByteArray(60), 4, 5)
    }

    @Test
    fun `planes that their strides do not describe are refused`() {
        val luma = ByteBuffer.allocate(20)
        val chroma = ByteBuffer.allocate(11)
        YuvPicture(luma, chroma, chroma, 4, 5, 5, 6, 2)
        refused { YuvPicture(luma, chroma, chroma, 4, 5, 6, 6, 2) }
        refused { YuvPicture(luma, chroma, chroma, 4, 5, 5, 7, 2) }
        refused { YuvPicture(luma, chroma, chroma, 4, 5, 5, 6, 0) }
        // 2 * 2^30 + 1 is 1 where 32 bits overflow twice.
        refused { YuvPicture(ByteBuffer.allocate(36), chroma, chroma, 4, 9, 9, 5, 1 shl 30) }
        refused { YuvPicture(luma, chroma, ByteBuffer.allocate(3), 4, 5, 5, 6, 2) }
    }

    @Test
    fun `a geometry that does not fit names the step`() {
        val size = Size(8, 8)
        val input = plainInput(size, listOf(Crop(size = size)))
        val pipeline = PixelPipeline(input, plainBinding(input))
        val error = assertThrows(ContractError::class.java) {
            pipeline.fill(RgbPicture(ByteArray(7 * 9 * 3), 7, 9))
        }
        assertTrue(error.message, error.message!!.contains("step 1 (crop)"))
        pipeline.fill(RgbPicture(ByteArray(8 * 9 * 3), 8, 9))
    }

    @Test
    fun `a sliver that would have to grow beyond all memory is refused`() {
        val size = Size(640, 640)
        val cover =
            listOf(Resize(ResizeTo.COVER, size, filter = Filter.OPENCV_LINEAR), Crop(size = size))
        val input = plainInput(size, cover)
        val pipeline = PixelPipeline(input, plainBinding(input))
        refused { pipeline.fill(RgbPicture(ByteArray(3_000_000), 1_000_000, 1)) }
        refused { pipeline.fill(RgbPicture(ByteArray(3_000), 1, 1_000)) }
        pipeline.fill(RgbPicture(ByteArray(3 * 20 * 30), 20, 30))
    }

    @Test
    fun `an input that no buffer can hold is refused`() {
        val input = plainInput(Size(16_384, 16_384), values = PixelValues.FLOAT32)
        val binding = plainBinding(input).copy(dtype = DType.FLOAT32, quant = null)
        assertThrows(BindingError::class.java) { PixelPipeline(input, binding) }
    }

    @Test
    fun `a binding of another size or without meaning is refused`() {
        val input = plainInput(Size(8, 8))
        val good = plainBinding(input)
        val wrong = listOf(
            good.copy(shape = listOf(1, 8, 9, 3)),
            good.copy(shape = listOf(8, 8, 3)),
            good.copy(dtype = DType.INT64),
            good.copy(dtype = DType.INT8),
            good.copy(normaliseInFile = false),
        )
        for (binding in wrong) {
            assertThrows(BindingError::class.java) { PixelPipeline(input, binding) }
        }
        PixelPipeline(input, good)
    }

    @Test
    fun `a second thread is told so`() {
        val input = plainInput(Size(1024, 1024))
        val pipeline = PixelPipeline(input, plainBinding(input))
        val picture = RgbPicture(ByteArray(1024 * 1024 * 3), 1024, 1024)
        val refusals = AtomicInteger()
        val failures = AtomicInteger()
        val start = CountDownLatch(1)
        val threads = List(2) {
            thread {
                start.await()
                while (refusals.get() == 0 && failures.get() == 0) {
                    try {
                        pipeline.fill(picture)
                    } catch (_: BusyError) {
                        refusals.incrementAndGet()
                    } catch (_: RuntimeException) {
                        failures.incrementAndGet()
                    }
                }
            }
        }
        start.countDown()
        threads.forEach { it.join() }
        assertTrue(refusals.get() > 0 && failures.get() == 0)
        pipeline.fill(picture)
    }
}
