package ai.phoneproof.app

import android.app.Activity
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Insets
import android.graphics.Matrix
import android.graphics.RectF
import android.os.Looper
import android.view.View
import android.view.WindowInsets
import java.io.File
import org.junit.Assert.assertTrue
import org.robolectric.Shadows.shadowOf

private const val PATIENCE_MS = 120_000L
private const val STATUS_BAR_DP = 24
private const val GESTURE_BAR_DP = 16

/** Lets the main thread work until [isDone], which other threads bring about. */
fun waitUntil(what: String, isDone: () -> Boolean) {
    val end = System.currentTimeMillis() + PATIENCE_MS
    while (!isDone()) {
        assertTrue("$what did not happen", System.currentTimeMillis() < end)
        shadowOf(Looper.getMainLooper()).idle()
        Thread.sleep(5)
    }
}

/**
 * The screen as a picture, drawn behind the bars of an Android 15 phone: `<name>.png`.
 *
 * @param preview what a camera's preview would show, fitted to the screen; it is a layer of its
 *   own that is not drawn here.
 */
fun Activity.render(name: String, preview: Bitmap? = null) {
    val density = resources.displayMetrics.density
    val bars =
        Insets.of(0, (STATUS_BAR_DP * density).toInt(), 0, (GESTURE_BAR_DP * density).toInt())
    val insets = WindowInsets.Builder().setInsets(WindowInsets.Type.systemBars(), bars).build()
    findViewById<View>(R.id.root).dispatchApplyWindowInsets(insets)
    shadowOf(Looper.getMainLooper()).idle()
    val view = window.decorView
    val layer = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
    view.draw(Canvas(layer))
    val picture = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
    val canvas = Canvas(picture).apply { drawColor(Color.BLACK) }
    preview?.let { canvas.drawBitmap(it, fitted(it, view), null) }
    canvas.drawBitmap(layer, 0f, 0f, null)
    val folder = File(System.getProperty("phoneproof.out").orEmpty())
    File(folder, "$name.png").outputStream().use {
        assertTrue(picture.compress(Bitmap.CompressFormat.PNG, 100, it))
    }
}

private fun fitted(bitmap: Bitmap, view: View): Matrix {
    val whole = RectF(0f, 0f, bitmap.width.toFloat(), bitmap.height.toFloat())
    val screen = RectF(0f, 0f, view.width.toFloat(), view.height.toFloat())
    return Matrix().apply { setRectToRect(whole, screen, Matrix.ScaleToFit.CENTER) }
}
