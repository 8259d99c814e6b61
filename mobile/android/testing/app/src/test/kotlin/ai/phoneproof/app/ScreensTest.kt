package ai.phoneproof.app

import ai.phoneproof.contract.Task
import android.Manifest
import android.app.Activity
import android.content.Intent
import android.net.Uri
import android.provider.MediaStore
import android.view.View
import android.widget.Button
import android.widget.TextView
import java.io.File
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

/** The screens of a generated app with real pictures, a real model and its real results. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34], application = JnaApp::class, qualifiers = PORTRAIT)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ScreensTest {
    private val picture = File(System.getProperty("phoneproof.picture").orEmpty())

    @Before
    fun needsPicture() {
        assertTrue("phoneproof.picture names no file", picture.isFile)
    }

    @Test
    fun `a photo with what is found in it`() {
        val screen = main()
        screen.render("main-empty")
        choosePhoto(screen, picture)
        val found = text(screen, R.id.results)
        assertTrue(found, "ms on CPU" in found)
        if (task(screen) == Task.CLASSIFY) assertEquals(4, found.lines().size)
        screen.render("main-portrait-light")
    }

    @Test
    @Config(qualifiers = "+night")
    fun `a photo in the dark theme`() {
        val screen = main()
        choosePhoto(screen, picture)
        screen.render("main-portrait-dark")
    }

    @Test
    @Config(qualifiers = LANDSCAPE)
    fun `a photo in landscape`() {
        val screen = main()
        choosePhoto(screen, picture)
        screen.render("main-landscape-light")
    }

    @Test
    fun `a photo stays through a rotation`() {
        val controller = Robolectric.buildActivity(MainActivity::class.java).setup()
        choosePhoto(controller.get(), picture)
        val found = text(controller.get(), R.id.results).lines().dropLast(1)
        RuntimeEnvironment.setQualifiers(LANDSCAPE)
        controller.recreate()
        val turned = controller.get()
        waitUntil("the photo's result") { "ms on" in text(turned, R.id.results) }
        assertEquals(found, text(turned, R.id.results).lines().dropLast(1))
    }

    @Test
    fun `an error of the library is shown whole`() {
        val screen = main()
        val junk = File.createTempFile("junk", ".jpg").apply { writeText("no picture") }
        choosePhoto(screen, junk)
        val said = text(screen, R.id.results)
        assertTrue(said, "the picture cannot be decoded" in said)
        assertTrue(said, "pass a whole JPEG, PNG or WebP file" in said)
        screen.render("main-error")
    }

    @Test
    fun `details after a self-test`() {
        val screen = details()
        screen.render("details-light")
        assertEquals(View.GONE, screen.findViewById<View>(R.id.share).visibility)
        runSelfTest(screen)
        val said = text(screen, R.id.outcome)
        assertTrue(said, "equal to the last bit" in said)
        assertEquals(View.VISIBLE, screen.findViewById<View>(R.id.share).visibility)
        screen.render("details-self-test-light")
        screen.findViewById<Button>(R.id.share).performClick()
        val chooser = shadowOf(screen).nextStartedActivity
        assertEquals(Intent.ACTION_CHOOSER, chooser.action)
        val shared = screen.contentResolver.openInputStream(AppFiles.results(screen))
        val document = JSONObject(requireNotNull(shared).use { String(it.readBytes()) })
        assertEquals("phoneproof.device-results/1", document.getString("schema"))
    }

    @Test
    @Config(qualifiers = LANDSCAPE_NIGHT)
    fun `details in the dark theme and in landscape`() {
        val screen = details()
        runSelfTest(screen)
        screen.render("details-self-test-dark")
    }

    @Test
    fun `the camera app writes where only this app may read`() {
        val screen = main()
        shadowOf(screen.application).grantPermissions(Manifest.permission.CAMERA)
        screen.findViewById<Button>(R.id.take).performClick()
        val asked = shadowOf(screen).nextStartedActivityForResult.intent
        assertEquals(MediaStore.ACTION_IMAGE_CAPTURE, asked.action)
        val target = AppFiles.photo(screen)
        screen.contentResolver.openOutputStream(target, "w").use { written ->
            requireNotNull(written).write(picture.readBytes())
        }
        shadowOf(screen).receiveResult(asked, Activity.RESULT_OK, null)
        waitUntil("the photo's result") { "ms on" in text(screen, R.id.results) }
    }

    private fun main() = Robolectric.buildActivity(MainActivity::class.java).setup().get()

    private fun details() =
        Robolectric.buildActivity(DetailsActivity::class.java).setup().get().also { screen ->
            val working = screen.getString(R.string.working)
            waitUntil("the model") { text(screen, R.id.computes) != working }
        }

    private fun choosePhoto(screen: Activity, file: File) {
        screen.findViewById<Button>(R.id.pick).performClick()
        val asked = shadowOf(screen).nextStartedActivityForResult.intent
        assertEquals(MediaStore.ACTION_PICK_IMAGES, asked.action)
        val answer = Intent().setData(Uri.fromFile(file))
        shadowOf(screen).receiveResult(asked, Activity.RESULT_OK, answer)
        val working = screen.getString(R.string.working)
        assertEquals(working, text(screen, R.id.results))
        waitUntil("the photo's result") { text(screen, R.id.results) != working }
    }

    private fun runSelfTest(screen: Activity) {
        val button = screen.findViewById<Button>(R.id.self_test)
        button.performClick()
        assertFalse(button.isEnabled)
        waitUntil("the self-test") { button.isEnabled }
    }

    private fun task(screen: Activity): Task {
        var task: Task? = null
        screen.app.host.run({ it.contract.task }) { task = it.getOrThrow() }
        waitUntil("the task") { task != null }
        return requireNotNull(task)
    }

    private fun text(screen: Activity, id: Int) = screen.findViewById<TextView>(id).text.toString()
}

private const val PORTRAIT = "w411dp-h891dp-port-xhdpi"
private const val LANDSCAPE = "w891dp-h411dp-land-xhdpi"
private const val LANDSCAPE_NIGHT = "w891dp-h411dp-land-night-xhdpi"
