package ai.phoneproof

import java.io.File
import java.io.RandomAccessFile
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment

/** Bundles in the assets of an app and on disk. */
@RunWith(RobolectricTestRunner::class)
class ModelFolderTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private val bytes = "bytes that stand for a model"
    private lateinit var assets: ModelFolder
    private lateinit var disk: ModelFolder

    @Before
    fun writeModel() {
        File(temporary.root, "model.tflite").writeText(bytes)
        disk = ModelFolder.disk(temporary.root)
        val apk = File(temporary.root, "app.apk")
        ZipOutputStream(apk.outputStream()).use { zip ->
            zip.putNextEntry(ZipEntry("assets/bundle/model.tflite"))
            zip.write(bytes.toByteArray())
        }
        val manager = RuntimeEnvironment.getApplication().assets
        @Suppress("DEPRECATION")
        check(manager.addAssetPath(apk.path) != 0) { "the assets were not added" }
        assets = ModelFolder.assets(manager, "bundle")
    }

    @Test
    fun `a model is read whole from either place`() {
        for (folder in listOf(assets, disk)) {
            val model = folder.model("model.tflite", sha256Of(bytes.toByteArray()))
            assertTrue(model.bytes.isDirect)
            val read = ByteArray(model.bytes.capacity()).also { model.bytes.duplicate().get(it) }
            assertEquals(bytes, String(read))
            assertTrue(folder.has("model.tflite"))
            assertFalse(folder.has("none.tflite"))
        }
        assertNull(assets.file("model.tflite"))
    }

    @Test
    fun `a file that is too large to be mapped is refused`() {
        // Sparse: it takes no room.
        RandomAccessFile(File(temporary.root, "huge.tflite"), "rw").use { it.setLength(3L shl 30) }
        val error = assertThrows(ModelFileError::class.java) { disk.model("huge.tflite", null) }
        assertTrue("$error", "cannot be read" in error.failed && "3221225472" in "$error")
    }

    @Test
    fun `a missing and an altered model are told apart`() {
        for (folder in listOf(assets, disk)) {
            val missing =
                assertThrows(ModelFileError::class.java) { folder.model("none.tflite", null) }
            assertTrue(missing.failed, "missing" in missing.failed)
            val altered = assertThrows(ModelFileError::class.java) {
                folder.model("model.tflite", "0".repeat(64))
            }
            assertTrue(altered.failed, "not the one that was built" in altered.failed)
        }
    }
}
