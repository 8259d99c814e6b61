package ai.phoneproof.selftest

import ai.phoneproof.acceleration.directBuffer
import ai.phoneproof.decode.Classification
import ai.phoneproof.decode.Detection
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

/** What a broken delegate gave must not cost the results of all others. */
@RunWith(RobolectricTestRunner::class)
class DeviceDocumentTest {
    @Test
    fun `results that are no numbers are left out, since JSON has none`() {
        val result = VectorResult("one", directBuffer(4), emptyList())
        result.classes = listOf(Classification(0, "good", 0.5f), Classification(1, "", Float.NaN))
        result.boxes = listOf(
            Detection(0, "good", 0.5f, 1f, 2f, 3f, 4f),
            Detection(1, "wide", 0.5f, 1f, 2f, Float.POSITIVE_INFINITY, 4f),
        )
        val json = JSONObject(result.json().toString())
        assertEquals(1, json.getJSONArray("classes").length())
        assertEquals(1, json.getJSONArray("boxes").length())
        val box = json.getJSONArray("boxes").getJSONObject(0).getJSONArray("box")
        assertEquals("[1,2,3,4]", box.toString())
    }

    @Test
    fun `a golden tensor of every 0th element is refused`() {
        val hash = "0".repeat(64)
        val text =
            """
            {"name": "out", "dtype": "float32", "shape": [1, 4], "sha256": "$hash",
             "file": "out.bin", "file_sha256": "$hash", "every": 0}
            """
        assertThrows(IllegalArgumentException::class.java) { GoldenTensor(JSONObject(text)) }
        val good = GoldenTensor(JSONObject(text.replace("\"every\": 0", "\"every\": 2")))
        assertEquals(2, good.every)
    }
}
