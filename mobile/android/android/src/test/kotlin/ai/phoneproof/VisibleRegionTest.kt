package ai.phoneproof

import ai.phoneproof.contract.Crop
import ai.phoneproof.contract.Filter
import ai.phoneproof.contract.GeometryOp
import ai.phoneproof.contract.ImageInput
import ai.phoneproof.contract.Pad
import ai.phoneproof.contract.Resize
import ai.phoneproof.contract.ResizeTo
import ai.phoneproof.contract.Size
import ai.phoneproof.pixels.VisibleRegion
import org.junit.Assert.assertEquals
import org.junit.Test

/** Regions of a picture of 400 x 200 pixels. */
class VisibleRegionTest {
    private val size = Size(100, 100)

    private fun region(vararg geometry: GeometryOp): VisibleRegion {
        val numbers = List(3) { 1.0 }
        val input =
            ImageInput(
                geometry = geometry.toList(),
                size = size,
                scale = 1.0,
                mean = numbers,
                std = numbers,
            )
        return VisibleRegion.of(input, 400, 200)
    }

    private fun resize(to: ResizeTo) = Resize(to, size, filter = Filter.OPENCV_LINEAR)

    @Test
    fun `stretched, all of it is seen`() {
        assertEquals(VisibleRegion(0f, 0f, 400f, 200f), region(resize(ResizeTo.STRETCH)))
    }

    @Test
    fun `padded, all of it is seen`() {
        val seen = region(resize(ResizeTo.CONTAIN), Pad(size))
        assertEquals(VisibleRegion(0f, 0f, 400f, 200f), seen)
    }

    @Test
    fun `covered and cropped, the middle is seen`() {
        val seen = region(resize(ResizeTo.COVER), Crop(size = size))
        assertEquals(VisibleRegion(100f, 0f, 300f, 200f), seen)
    }

    @Test
    fun `cropped before it is padded, the crop is what is seen`() {
        val seen = region(Crop(aspect = 1.0), Crop(fraction = 0.5), Pad(size))
        assertEquals(VisibleRegion(150f, 50f, 250f, 150f), seen)
    }
}
