package ai.phoneproof.app

import ai.phoneproof.ModelFolder
import ai.phoneproof.selftest.GoldenProof
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

/** What this app feeds its models, and makes of their outputs, equals what Python recorded. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class GoldenTest {
    private val folder = ModelFolder.assets(RuntimeEnvironment.getApplication().assets)

    @Test
    fun `pixels, tensors and results equal those of Python`() {
        assertFalse("the app has no model", folder.models().isEmpty())
        for (model in folder.models()) {
            val differences = GoldenProof(folder, model).differences()
            assertEquals(model, "", differences.joinToString("\n"))
        }
    }
}
