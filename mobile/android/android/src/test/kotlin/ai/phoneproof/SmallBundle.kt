package ai.phoneproof

import ai.phoneproof.contract.Contract
import ai.phoneproof.contract.DType
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.Engine
import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.engine.ModelFile
import ai.phoneproof.engine.TensorInfo
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.concurrent.CountDownLatch

/** A classifier of 4 x 4 pixels on disk; its "model file" is a few bytes that no library reads. */
internal class SmallBundle(val folder: File) {
    val path = "artifacts/model_float32.tflite"

    init {
        File(folder, "artifacts").mkdirs()
        File(folder, path).writeText(MODEL)
        File(folder, "contract.json").writeText(CONTRACT)
        File(folder, "$path.binding.json").writeText(binding())
    }

    fun binding(
        contract: String = Contract.parse(CONTRACT).sha256,
        artifact: String = sha256Of(MODEL.toByteArray()),
        output: String = "probabilities",
    ): String =
        """
        {"schema": "phoneproof.binding/1", "artifact": "$artifact", "contract": "$contract",
         "format": "tflite", "precision": "float32", "batch": 1,
         "inputs": [{"for": "image", "tensor": "image", "shape": [1, 4, 4, 3], "layout": "NHWC",
           "dtype": "float32", "quant": null, "normalise_in_file": false}],
         "outputs": [{"tensor": "$output", "role": "scores", "shape": [1, 2], "axes": ["class"],
           "level": null, "slice": null, "packed": 1, "class_offset": 0, "dtype": "float32",
           "quant": null, "activation": "none", "box": null}],
         "anchors": null, "nms_in_file": false, "decode_override": null}
        """.trimIndent()

    fun write(name: String, text: String) = File(folder, name).writeText(text)

    companion object {
        const val MODEL = "bytes that stand for a model"
        const val CONTRACT =
            """
            {"schema": "phoneproof.contract/1", "name": "small", "version": "1.0.0",
             "task": "classify",
             "inputs": [{"name": "image", "kind": "image", "orientation": "exif",
               "color_profile": "as_stored", "alpha": "drop", "channels": "rgb", "gray": null,
               "geometry": [{"op": "resize", "to": "stretch", "size": [4, 4],
                 "round": "half_even", "upscale": true, "filter": "opencv.linear"}],
               "size": [4, 4], "values": "uint8", "scale": 1.0,
               "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}],
             "labels": ["red", "other"],
             "decode": {"confidence": 0.25, "multi_label": false, "nms": null}}
            """
    }
}

/** Gives the share of red in the picture as the first probability; watches for a second caller. */
internal class RedEngines(private val waitMs: Long = 0, private val breaks: Boolean = false) :
    EngineFactory {
    override val name = "fake"
    override val candidates = listOf(Accelerator.cpu(1))

    @Volatile var inside = 0

    @Volatile var overlapped = false

    @Volatile var isClosed = false

    /** Runs wait until it opens; [entered] does when one has begun to. */
    @Volatile var gate = CountDownLatch(0)
    val entered = CountDownLatch(1)

    override fun open(model: ModelFile, accelerator: Accelerator): Engine = object : Engine {
        override val name = "fake"
        override val version = "1"
        override val accelerator = accelerator
        override val inputs = listOf(TensorInfo("image", DType.FLOAT32, listOf(1, 4, 4, 3)))
        override val outputs = listOf(TensorInfo("probabilities", DType.FLOAT32, listOf(1, 2)))
        private val result = ByteBuffer.allocateDirect(8).order(ByteOrder.nativeOrder())
        private var runs = 0

        override fun run(input: ByteBuffer): List<ByteBuffer> {
            if (++inside > 1) overlapped = true
            if (waitMs > 0) Thread.sleep(waitMs)
            if (gate.count > 0) entered.countDown()
            gate.await()
            // One run warms up and some are timed when the model is opened.
            if (breaks && ++runs > 1) error("device lost")
            var red = 0f
            var sum = 1e-6f
            for (i in 0 until 48) {
                val value = input.getFloat(4 * i)
                sum += value
                if (i % 3 == 0) red += value
            }
            result.putFloat(0, red / sum).putFloat(4, 1 - red / sum)
            inside--
            return listOf(result)
        }

        override fun close() {
            isClosed = true
        }
    }
}
