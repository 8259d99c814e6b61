package ai.phoneproof.app

import ai.phoneproof.ModelFolder
import ai.phoneproof.selftest.GoldenProof
import androidx.test.platform.app.InstrumentationRegistry
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Test

/** The same on a device, and what its engine computes. */
class GoldenDeviceTest {
    private val context = InstrumentationRegistry.getInstrumentation().targetContext
    private val folder = ModelFolder.assets(context.assets)

    @Test
    fun pixelsTensorsAndResultsEqualThoseOfPython() {
        assertFalse("the app has no model", folder.models().isEmpty())
        for (model in folder.models()) {
            val differences = GoldenProof(folder, model).differences()
            assertEquals(model, "", differences.joinToString("\n"))
        }
    }

    @Test
    fun theEngineComputesWhatPythonComputed() {
        for (model in folder.models()) {
            val differences = GoldenProof(folder, model).differencesOn(engines(context))
            assertEquals(model, "", differences.joinToString("\n"))
        }
    }
}
