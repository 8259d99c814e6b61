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

/**
 * A detector of 64 x 64 pixels on disk, and engines that find the same boxes in every picture: as
 * many as [found] says, all far from each other. Running them allocates nothing.
 */
internal class SmallDetector(val folder: File, private val found: Int) : EngineFactory {
    val path = "artifacts/model_float32.tflite"
    override val name = "fake"
    override val candidates = listOf(Accelerator.cpu(1))

    init {
        File(folder, "artifacts").mkdirs()
        File(folder, path).writeText(SmallBundle.MODEL)
        File(folder, "contract.json").writeText(CONTRACT)
        File(folder, "$path.binding.json").writeText(binding())
    }

    private fun binding(): String {
        val model = sha256Of(SmallBundle.MODEL.toByteArray())
        val contract = Contract.parse(CONTRACT).sha256
        val output =
            """
            "shape": [1, 5, $ANCHORS], "level": null, "packed": 1, "class_offset": 0,
            "dtype": "float32", "quant": null, "activation": "none"
            """
        return """
            {"schema": "phoneproof.binding/1", "artifact": "$model", "contract": "$contract",
             "format": "tflite", "precision": "float32", "batch": 1,
             "inputs": [{"for": "image", "tensor": "image", "shape": [1, 64, 64, 3],
               "layout": "NHWC", "dtype": "float32", "quant": null, "normalise_in_file": false}],
             "outputs": [
               {"tensor": "out", "role": "boxes", "axes": ["coord", "anchor"], "slice": [0, 4],
                "box": {"format": "xyxy", "units": "pixels", "order": "xy", "variances": null},
                $output},
               {"tensor": "out", "role": "scores", "axes": ["class", "anchor"], "slice": [4, 5],
                "box": null, $output}],
             "anchors": null, "nms_in_file": false, "decode_override": null}
            """
    }

    override fun open(model: ModelFile, accelerator: Accelerator): Engine = object : Engine {
        override val name = "fake"
        override val version = "1"
        override val accelerator = accelerator
        override val inputs = listOf(TensorInfo("image", DType.FLOAT32, listOf(1, 64, 64, 3)))
        override val outputs = listOf(TensorInfo("out", DType.FLOAT32, listOf(1, 5, ANCHORS)))
        private val results = listOf(heads())

        override fun run(input: ByteBuffer): List<ByteBuffer> = results

        override fun close() = Unit
    }

    /** Boxes of 4 x 4 pixels, 8 pixels apart; the first [found] of them have a score. */
    private fun heads(): ByteBuffer {
        val bytes = ByteBuffer.allocateDirect(5 * ANCHORS * 4).order(ByteOrder.nativeOrder())
        val floats = bytes.asFloatBuffer()
        for (anchor in 0 until ANCHORS) {
            val x = 8f * (anchor % 8)
            val y = 8f * (anchor / 8)
            floats.put(anchor, x).put(ANCHORS + anchor, y)
            floats.put(2 * ANCHORS + anchor, x + 4).put(3 * ANCHORS + anchor, y + 4)
            floats.put(4 * ANCHORS + anchor, if (anchor < found) 0.9f else 0f)
        }
        return bytes
    }

    companion object {
        const val ANCHORS = 64
        const val CONTRACT =
            """
            {"schema": "phoneproof.contract/1", "name": "small", "version": "1.0.0",
             "task": "detect",
             "inputs": [{"name": "image", "kind": "image", "orientation": "exif",
               "color_profile": "as_stored", "alpha": "drop", "channels": "rgb", "gray": null,
               "geometry": [{"op": "resize", "to": "stretch", "size": [64, 64],
                 "round": "half_even", "upscale": true, "filter": "opencv.linear"}],
               "size": [64, 64], "values": "uint8", "scale": 1.0,
               "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}],
             "labels": ["square"],
             "decode": {"confidence": 0.25, "multi_label": false,
               "nms": {"iou": 0.5, "class_agnostic": false, "pre_top_k": 100,
                 "max_detections": 64}}}
            """
    }
}
