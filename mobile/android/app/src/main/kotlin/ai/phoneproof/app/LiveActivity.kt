package ai.phoneproof.app

import ai.phoneproof.PhoneproofError
import ai.phoneproof.pixels.VisibleRegion
import ai.phoneproof.thermal.AndroidThermalSource
import ai.phoneproof.thermal.ThermalGovernor
import android.Manifest
import android.app.Activity
import android.content.pm.PackageManager
import android.graphics.Matrix
import android.graphics.RectF
import android.graphics.SurfaceTexture
import android.media.Image
import android.os.Bundle
import android.view.Surface
import android.view.TextureView
import android.view.WindowManager
import android.widget.TextView

/** The camera's picture with what the model finds in it, frame after frame. */
class LiveActivity :
    Activity(),
    TextureView.SurfaceTextureListener {
    private lateinit var preview: TextureView
    private lateinit var boxes: ResultView
    private lateinit var status: TextView
    private lateinit var governor: ThermalGovernor
    private var feed: CameraFeed? = null

    /** By how much frames must be turned clockwise to be upright; read on the model's thread. */
    @Volatile private var rotation = 0

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.activity_live)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        preview = findViewById(R.id.preview)
        boxes = findViewById(R.id.boxes)
        status = findViewById(R.id.status)
        status.keepClearOfBars(isAtBottom = true)
        preview.surfaceTextureListener = this
        governor = ThermalGovernor(AndroidThermalSource(this)) { now ->
            if (now.framesPerSecond == 0.0) {
                app.host.onMain { status.setText(R.string.live_paused) }
            }
        }
        if (!CameraFeed.isAllowed(this)) {
            requestPermissions(arrayOf(Manifest.permission.CAMERA), 0)
        }
    }

    override fun onResume() {
        super.onResume()
        start()
    }

    override fun onPause() {
        feed?.close()
        feed = null
        super.onPause()
    }

    override fun onRequestPermissionsResult(
        code: Int,
        permissions: Array<String>,
        granted: IntArray,
    ) {
        super.onRequestPermissionsResult(code, permissions, granted)
        if (granted.firstOrNull() == PackageManager.PERMISSION_GRANTED) {
            start()
        } else {
            status.setText(R.string.camera_refused)
        }
    }

    /** When everything is there: the permission, the screen and a surface for the preview. */
    private fun start() {
        val texture = preview.surfaceTexture
        if (feed != null || texture == null || !CameraFeed.isAllowed(this)) return
        val camera = CameraFeed.of(this, app.host.handler, ::look, ::lost)
        if (camera == null) {
            status.setText(R.string.no_camera)
            return
        }
        feed = camera
        fitPreview(camera)
        camera.open(texture)
    }

    private fun lost(code: Int) = stop(getString(R.string.camera_lost, code))

    private fun stop(why: String) {
        feed?.close()
        feed = null
        status.text = why
    }

    /** On the model's thread. */
    internal fun look(frame: Image) {
        if (!governor.admits(System.nanoTime())) return
        try {
            val model = app.host.model()
            val turned = rotation
            val start = System.nanoTime()
            val findings = model.findIn(frame, turned)
            val nanos = System.nanoTime() - start
            governor.ran(nanos)
            app.host.latency.add(nanos)
            val isTurned = turned % HALF_TURN != 0
            val width = if (isTurned) frame.height else frame.width
            val height = if (isTurned) frame.width else frame.height
            val region = VisibleRegion.of(model.contract.image, width, height)
            val rate = governor.state.framesPerSecond
            app.host.onMain {
                boxes.show(width, height, region, findings)
                val speed = getString(R.string.live_rate, Latency.millis(nanos), rate)
                status.text = listOf(findings.describe(this), speed).joinToString("\n")
            }
        } catch (error: PhoneproofError) {
            // The next frame would fare no better.
            app.host.onMain { stop(error.describe(this)) }
        }
    }

    /**
     * Shows the whole preview, upright, in the middle. A TextureView stretches the buffer over
     * itself, turned as if the phone were upright: the stretch is undone, then the turn.
     */
    private fun fitPreview(camera: CameraFeed) {
        @Suppress("DEPRECATION") // Its successor needs Android 11.
        val turned = DEGREES.getValue(windowManager.defaultDisplay.rotation)
        rotation = Math.floorMod(camera.sensorDegrees - turned, FULL_TURN)
        val (width, height) = preview.width.toFloat() to preview.height.toFloat()
        val isAcross = camera.sensorDegrees % HALF_TURN != 0
        val size = camera.size
        val upright = if (isAcross) {
            RectF(0f, 0f, size.height.toFloat(), size.width.toFloat())
        } else {
            RectF(0f, 0f, size.width.toFloat(), size.height.toFloat())
        }
        upright.offset(width / 2 - upright.centerX(), height / 2 - upright.centerY())
        val view = RectF(0f, 0f, width, height)
        val matrix = Matrix()
        matrix.setRectToRect(view, upright, Matrix.ScaleToFit.FILL)
        matrix.postRotate(-turned.toFloat(), width / 2, height / 2)
        val isTurned = turned % HALF_TURN != 0
        val wide = if (isTurned) upright.height() else upright.width()
        val high = if (isTurned) upright.width() else upright.height()
        val scale = minOf(width / wide, height / high)
        matrix.postScale(scale, scale, width / 2, height / 2)
        preview.setTransform(matrix)
    }

    override fun onSurfaceTextureAvailable(texture: SurfaceTexture, width: Int, height: Int) =
        start()

    override fun onSurfaceTextureSizeChanged(texture: SurfaceTexture, width: Int, height: Int) {
        feed?.let(::fitPreview)
    }

    override fun onSurfaceTextureDestroyed(texture: SurfaceTexture): Boolean {
        feed?.close()
        feed = null
        return true
    }

    override fun onSurfaceTextureUpdated(texture: SurfaceTexture) = Unit

    private companion object {
        const val HALF_TURN = 180
        const val FULL_TURN = 360
        val DEGREES = mapOf(
            Surface.ROTATION_0 to 0,
            Surface.ROTATION_90 to 90,
            Surface.ROTATION_180 to 180,
            Surface.ROTATION_270 to 270,
        )
    }
}
