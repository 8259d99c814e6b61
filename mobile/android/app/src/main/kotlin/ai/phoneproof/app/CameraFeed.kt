package ai.phoneproof.app

import android.Manifest
import android.annotation.SuppressLint
import android.content.Context
import android.content.pm.PackageManager
import android.graphics.ImageFormat
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.media.Image
import android.media.ImageReader
import android.os.Handler
import android.os.Looper
import android.util.Size
import android.view.Surface

/**
 * The back camera: what it sees goes to a preview and, as frames, to [onFrame]. For the main
 * thread, on which [onTrouble] is told why nothing comes.
 *
 * @param frames of the thread that [onFrame] is called on. A frame is closed when it returns;
 *   those that came in the meantime are left out.
 */
class CameraFeed private constructor(
    private val manager: CameraManager,
    private val id: String,
    private val frames: Handler,
    private val onFrame: (Image) -> Unit,
    private val onTrouble: (code: Int) -> Unit,
) {
    private val main = Handler(Looper.getMainLooper())
    private val characteristics = manager.getCameraCharacteristics(id)

    /** By how much the sensor's picture must be turned clockwise on an upright phone. */
    val sensorDegrees: Int = characteristics[CameraCharacteristics.SENSOR_ORIENTATION] ?: 0

    /** Of preview and frames alike, so that they show the same; as the sensor lies. */
    val size: Size = commonSize()

    private var preview: Surface? = null
    private var reader: ImageReader? = null
    private var device: CameraDevice? = null
    private var isClosed = false

    /** Starts; the permission must have been given. */
    @SuppressLint("MissingPermission")
    fun open(texture: SurfaceTexture) {
        texture.setDefaultBufferSize(size.width, size.height)
        val shown = Surface(texture)
        preview = shown
        val images = ImageReader.newInstance(size.width, size.height, FORMAT, BUFFERS)
        images.setOnImageAvailableListener({ it.acquireLatestImage()?.use(onFrame) }, frames)
        reader = images
        guarded { manager.openCamera(id, deviceCallback(listOf(shown, images.surface)), main) }
    }

    /** Ends; the camera is free for others. */
    fun close() {
        isClosed = true
        device?.close()
        device = null
        preview?.release()
        preview = null
        // After a frame that is being looked at.
        val images = reader ?: return
        images.setOnImageAvailableListener(null, null)
        frames.post { images.close() }
        reader = null
    }

    private fun deviceCallback(targets: List<Surface>) = object : CameraDevice.StateCallback() {
        override fun onOpened(camera: CameraDevice) {
            if (isClosed) return camera.close()
            device = camera
            guarded {
                @Suppress("DEPRECATION") // Its successor needs Android 9.
                camera.createCaptureSession(targets, sessionCallback(camera, targets), main)
            }
        }

        override fun onDisconnected(camera: CameraDevice) =
            onError(camera, CameraDevice.StateCallback.ERROR_CAMERA_IN_USE)

        override fun onError(camera: CameraDevice, error: Int) {
            camera.close()
            device = null
            onTrouble(error)
        }
    }

    private fun sessionCallback(camera: CameraDevice, targets: List<Surface>) =
        object : CameraCaptureSession.StateCallback() {
            override fun onConfigured(session: CameraCaptureSession) {
                if (isClosed) return
                val request = camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
                targets.forEach(request::addTarget)
                request[CaptureRequest.CONTROL_AF_MODE] =
                    CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_PICTURE
                guarded { session.setRepeatingRequest(request.build(), null, null) }
            }

            override fun onConfigureFailed(session: CameraCaptureSession) =
                onTrouble(CameraDevice.StateCallback.ERROR_CAMERA_DEVICE)
        }

    /** The camera may go at any time: another app takes it, or the device forbids it. */
    private inline fun guarded(call: () -> Unit) {
        try {
            call()
        } catch (error: CameraAccessException) {
            if (!isClosed) onTrouble(error.reason)
        } catch (_: IllegalStateException) {
            if (!isClosed) onTrouble(CameraDevice.StateCallback.ERROR_CAMERA_DEVICE)
        }
    }

    private fun commonSize(): Size {
        val map =
            requireNotNull(characteristics[CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP])
        val shown = map.getOutputSizes(SurfaceTexture::class.java).orEmpty().toSet()
        val both = map.getOutputSizes(FORMAT).orEmpty().filter { it in shown }
        val small = both.filter { it.width <= LONGEST && it.height <= LONGEST }
        return small.maxByOrNull { it.width * it.height } ?: both.minBy { it.width * it.height }
    }

    companion object {
        private const val FORMAT = ImageFormat.YUV_420_888
        private const val LONGEST = 1280

        /** One is looked at while the next one comes. */
        private const val BUFFERS = 2

        /**
         * The first camera that looks away from the user; null: there is none. One that looks at
         * the user is shown mirrored, and boxes would lie on the wrong side.
         */
        fun of(
            context: Context,
            frames: Handler,
            onFrame: (Image) -> Unit,
            onTrouble: (code: Int) -> Unit,
        ): CameraFeed? {
            val manager = context.getSystemService(CameraManager::class.java)
            return try {
                manager.cameraIdList
                    .firstOrNull { manager.looksAway(it) }
                    ?.let { CameraFeed(manager, it, frames, onFrame, onTrouble) }
            } catch (_: CameraAccessException) {
                null
            }
        }

        private fun CameraManager.looksAway(id: String) =
            getCameraCharacteristics(id)[CameraCharacteristics.LENS_FACING] !=
                CameraCharacteristics.LENS_FACING_FRONT

        /** Whether the user lets the app use the camera. */
        fun isAllowed(context: Context): Boolean =
            context.checkSelfPermission(Manifest.permission.CAMERA) ==
                PackageManager.PERMISSION_GRANTED
    }
}
