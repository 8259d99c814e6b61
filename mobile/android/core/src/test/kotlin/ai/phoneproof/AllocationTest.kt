package ai.phoneproof

import ai.phoneproof.contract.DType
import ai.phoneproof.contract.Filter
import ai.phoneproof.contract.ImageInput
import ai.phoneproof.contract.InputBinding
import ai.phoneproof.contract.Layout
import ai.phoneproof.contract.Pad
import ai.phoneproof.contract.PixelValues
import ai.phoneproof.contract.Quant
import ai.phoneproof.contract.Resize
import ai.phoneproof.contract.ResizeTo
import ai.phoneproof.contract.Size
import ai.phoneproof.pixels.ArgbPicture
import ai.phoneproof.pixels.Orientation
import ai.phoneproof.pixels.Picture
import ai.phoneproof.pixels.PixelPipeline
import ai.phoneproof.pixels.RgbPicture
import ai.phoneproof.pixels.YuvPicture
import ai.phoneproof.vectors.noise
import java.lang.management.ManagementFactory
import java.nio.ByteBuffer
import org.junit.Assert.assertTrue
import org.junit.Test

private const val WARM_UP = 300
private const val FRAMES = 200
private const val TRIES = 5

/** A frame after the first of its size allocates nothing. */
internal class AllocationTest {
    private val threads = ManagementFactory.getThreadMXBean() as com.sun.management.ThreadMXBean

    /** The least of some tries: the compiler may finish a method, and count against us, in one. */
    private fun bytesPerFrame(frame: () -> Unit): Long {
        repeat(WARM_UP) { frame() }
        val id = Thread.currentThread().id
        return List(TRIES) {
            val before = threads.getThreadAllocatedBytes(id)
            repeat(FRAMES) { frame() }
            // The measurement itself allocates a little, once: far below one byte a frame.
            (threads.getThreadAllocatedBytes(id) - before) / FRAMES
        }.min()
    }

    private fun check(
        name: String,
        input: ImageInput,
        binding: InputBinding,
        picture: Picture,
        orientation: Orientation = Orientation.UPRIGHT,
    ) {
        val pipeline = PixelPipeline(input, binding)
        val bytes = bytesPerFrame { pipeline.fill(picture, orientation) }
        assertTrue("$name: $bytes bytes a frame", bytes == 0L)
    }

    @Test
    fun `no source, filter, dtype or layout allocates`() {
        val rgb = RgbPicture(noise(1, 90 * 120 * 3), 90, 120)
        val argb = ArgbPicture(IntArray(90 * 120) { it * 7919 }, 90, 120)
        for (filter in Filter.entries) {
            val input = letterbox(filter)
            check(filter.wire, input, binding(input, DType.FLOAT32), rgb)
        }
        val input = letterbox(Filter.OPENCV_LINEAR)
        for (dtype in listOf(DType.UINT8, DType.INT8, DType.INT16, DType.FLOAT16)) {
            check(dtype.name, input, binding(input, dtype), argb)
        }
        val planar = binding(input, DType.FLOAT32, Layout.NCHW)
        check("planar, turned", input, planar, argb, Orientation.ROTATE_90)
        check("camera", input, planar, camera(), Orientation.ROTATE_270)
    }

    @Test
    fun `the measurement sees an allocation`() {
        var kept = ByteArray(0)
        assertTrue(bytesPerFrame { kept = ByteArray(64) } >= kept.size)
    }

    private fun camera(): YuvPicture {
        val luma = ByteBuffer.allocateDirect(90 * 128)
        val chroma = ByteBuffer.allocateDirect(45 * 128)
        return YuvPicture(luma, chroma, chroma, 90, 120, 128, 128, 2)
    }

    private fun letterbox(filter: Filter): ImageInput {
        val size = Size(64, 64)
        return ImageInput(
            geometry = listOf(Resize(ResizeTo.CONTAIN, size, filter = filter), Pad(size)),
            size = size,
            values = if (filter.isFloat) PixelValues.FLOAT32 else PixelValues.UINT8,
            scale = 1 / 255.0,
            mean = List(3) { 0.0 },
            std = List(3) { 1.0 },
        )
    }

    private fun binding(
        input: ImageInput,
        dtype: DType,
        layout: Layout = Layout.NHWC,
    ): InputBinding {
        val (height, width) = input.size
        val planar = layout == Layout.NCHW
        return InputBinding(
            tensor = "image",
            shape = if (planar) listOf(1, 3, height, width) else listOf(1, height, width, 3),
            layout = layout,
            dtype = dtype,
            quant = Quant(1 / 255.0, 0).takeUnless { dtype.name.startsWith("FLOAT") },
        )
    }
}
