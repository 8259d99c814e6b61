package ai.phoneproof.image

import ai.phoneproof.ImageError
import ai.phoneproof.contract.ImageInput
import ai.phoneproof.contract.InputBinding
import ai.phoneproof.pixels.GeometryPlan
import ai.phoneproof.pixels.Orientation
import ai.phoneproof.pixels.PixelPipeline
import ai.phoneproof.pixels.YuvPicture
import android.graphics.Bitmap
import android.media.Image
import java.nio.ByteBuffer

/** From everything Android has for a picture to the input tensor. Not for several threads. */
internal class PictureInput(input: ImageInput, binding: InputBinding) {
    private val pipeline = PixelPipeline(input, binding)
    private val reader = BitmapReader(input.colorProfile)
    val files = PictureDecoder(input.orientation)
    private var camera: YuvPicture? = null

    /** Filled by the last call of fill. */
    val tensor: ByteBuffer get() = pipeline.tensor

    /**
     * A bitmap that must be turned clockwise by [rotationDegrees] to be upright; it is, whatever
     * the contract says of the orientation tags of files.
     */
    fun fill(bitmap: Bitmap?, rotationDegrees: Int): GeometryPlan =
        inMemory { pipeline.fill(reader.read(bitmap), orientation(rotationDegrees)) }

    /** A camera frame, turned likewise. */
    fun fill(frame: Image?, rotationDegrees: Int): GeometryPlan {
        val picture = cameraPicture(frame, camera).also { camera = it }
        return inMemory { pipeline.fill(picture, orientation(rotationDegrees)) }
    }

    /** The bytes of a picture file. */
    fun fill(file: ByteArray): GeometryPlan = files.decode(file).use { fill(it) }

    /** A decoded picture file, which the caller closes. */
    fun fill(decoded: DecodedPicture): GeometryPlan =
        inMemory { pipeline.fill(reader.read(decoded.bitmap), decoded.orientation) }

    private fun orientation(degrees: Int): Orientation {
        if (degrees % QUARTER != 0) {
            throw ImageError(
                "a picture cannot be turned so",
                "$degrees degrees",
                "pass 0, 90, 180 or 270",
            )
        }
        return Orientation.ofRotation(degrees)
    }

    private companion object {
        const val QUARTER = 90
    }
}
