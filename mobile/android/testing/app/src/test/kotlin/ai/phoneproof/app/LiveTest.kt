package ai.phoneproof.app

import android.Manifest
import android.content.Context
import android.graphics.BitmapFactory
import android.graphics.ImageFormat
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import android.util.Size
import android.view.TextureView
import android.widget.TextView
import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowCameraCharacteristics
import org.robolectric.shadows.StreamConfigurationMapBuilder

/** The live screen with a camera that Robolectric plays, and frames made of a picture. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34], application = JnaApp::class, qualifiers = "w411dp-h891dp-port-xhdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class LiveTest {
    private val picture = File(System.getProperty("phoneproof.picture").orEmpty())
    private val context: Context = RuntimeEnvironment.getApplication()

    @Test
    fun `without leave the screen says so`() {
        val screen = Robolectric.buildActivity(LiveActivity::class.java).setup().get()
        val asked = shadowOf(screen).lastRequestedPermission
        assertEquals(listOf(Manifest.permission.CAMERA), asked.requestedPermissions.toList())
        screen.onRequestPermissionsResult(0, asked.requestedPermissions, intArrayOf(-1))
        assertEquals(screen.getString(R.string.camera_refused), status(screen))
        screen.render("live-refused")
    }

    @Test
    fun `without a camera the screen says so`() {
        val screen = opened()
        assertEquals(screen.getString(R.string.no_camera), status(screen))
    }

    @Test
    fun `a frame is turned, run, and what was found is drawn`() {
        addCamera()
        val screen = opened()
        val upright = BitmapFactory.decodeFile(picture.path)
        val frame = SensorFrame(upright, SENSOR)
        screen.app.host.handler.post { screen.look(frame) }
        waitUntil("a result") { "frames a second" in status(screen) }
        val model = requireNotNull(screen.app.host.latency.summary())
        assertEquals(1, model.runs)
        screen.render("live-found", preview = upright)
    }

    @Test
    fun `leaving the screen closes the camera, coming back opens it again`() {
        addCamera()
        val controller = Robolectric.buildActivity(LiveActivity::class.java)
        allow()
        val screen = controller.setup().get()
        val texture = give(screen)
        controller.pause().resume()
        controller.pause().stop().destroy()
        assertTrue(screen.onSurfaceTextureDestroyed(texture))
    }

    private fun allow() = shadowOf(RuntimeEnvironment.getApplication())
        .grantPermissions(Manifest.permission.CAMERA)

    private fun opened(): LiveActivity {
        allow()
        val screen = Robolectric.buildActivity(LiveActivity::class.java).setup().get()
        give(screen)
        return screen
    }

    /** What a window with hardware acceleration does by itself. */
    private fun give(screen: LiveActivity): SurfaceTexture {
        val preview = screen.findViewById<TextureView>(R.id.preview)
        val texture = SurfaceTexture(1)
        preview.setSurfaceTexture(texture)
        screen.onSurfaceTextureAvailable(texture, preview.width, preview.height)
        return texture
    }

    private fun addCamera() {
        val camera = ShadowCameraCharacteristics.newCameraCharacteristics()
        val sizes =
            StreamConfigurationMapBuilder
                .newBuilder()
                .addOutputSize(Size(640, 480))
                .addOutputSize(ImageFormat.YUV_420_888, Size(640, 480))
                .addOutputSize(ImageFormat.YUV_420_888, Size(4000, 3000))
                .build()
        with(shadowOf(camera)) {
            set(CameraCharacteristics.SENSOR_ORIENTATION, SENSOR)
            set(CameraCharacteristics.LENS_FACING, CameraCharacteristics.LENS_FACING_BACK)
            set(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP, sizes)
        }
        shadowOf(context.getSystemService(CameraManager::class.java)).addCamera("0", camera)
    }

    private fun status(screen: LiveActivity) =
        screen.findViewById<TextView>(R.id.status).text.toString()

    private companion object {
        const val SENSOR = 90
    }
}
