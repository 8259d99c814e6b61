package ai.phoneproof.app

import android.app.Activity
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Insets
import android.os.Looper
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

/** The screen as a picture, drawn behind the bars of an Android 15 phone: `<name>.png`. */
fun Activity.render(name: String): Bitmap {
    val density = resources.displayMetrics.density
    val bars =
        Insets.of(0, (STATUS_BAR_DP * density).toInt(), 0, (GESTURE_BAR_DP * density).toInt())
    val insets = WindowInsets.Builder().setInsets(WindowInsets.Type.systemBars(), bars).build()
    val root = findViewById<android.view.View>(R.id.root)
    root.dispatchApplyWindowInsets(insets)
    shadowOf(Looper.getMainLooper()).idle()
    val view = window.decorView
    val picture = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
    view.draw(Canvas(picture))
    val folder = File(System.getProperty("phoneproof.out").orEmpty())
    File(folder, "$name.png").outputStream().use {
        assertTrue(picture.compress(Bitmap.CompressFormat.PNG, 100, it))
    }
    return picture
}
