package ai.phoneproof

import ai.phoneproof.contract.Binding
import ai.phoneproof.contract.Contract
import ai.phoneproof.contract.DType
import ai.phoneproof.contract.Filter
import ai.phoneproof.contract.ImageInput
import ai.phoneproof.contract.InputBinding
import ai.phoneproof.contract.Layout
import ai.phoneproof.contract.Pad
import ai.phoneproof.contract.Resize
import ai.phoneproof.contract.ResizeTo
import ai.phoneproof.contract.Size
import ai.phoneproof.decode.Decoder
import ai.phoneproof.decode.OutputTensor
import ai.phoneproof.pixels.GeometryPlan
import ai.phoneproof.pixels.PixelPipeline
import ai.phoneproof.pixels.RgbPicture
import ai.phoneproof.vectors.noise
import java.lang.management.ManagementFactory
import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val SIDE = 640
private const val ANCHORS = 8400
private const val CLASSES = 80
private const val WARM_UP_NANOS = 4_000_000_000L
private const val RUN_NANOS = 4_000_000_000L
private const val NANOS = 1e6

/**
 * `java ai.phoneproof.SpeedKt`: median milliseconds of the work on a frame, as one line of JSON.
 * `benchmarks/mobile_speed.py` runs it beside the libraries it is compared with.
 */
internal fun main() {
    val figures = LinkedHashMap<String, Double>()
    for (height in listOf(1080, 720)) {
        val width = height * 16 / 9
        for (filter in listOf(Filter.OPENCV_LINEAR, Filter.PILLOW_BILINEAR)) {
            figures["${filter.wire} ${width}x$height"] = letterbox(filter, height, width)
        }
    }
    figures["decode 8400x84"] = decode()
    println(figures.entries.joinToString(",", "{", "}") { "\"${it.key}\":${it.value}" })
}

/** Letterbox to 640 x 640, then the table to float32 NHWC. */
private fun letterbox(filter: Filter, height: Int, width: Int): Double {
    val size = Size(SIDE, SIDE)
    val resize = Resize(ResizeTo.CONTAIN, size, filter = filter)
    val input = ImageInput(
        geometry = listOf(resize, Pad(size)),
        size = size,
        scale = 1 / 255.0,
        mean = List(3) { 0.0 },
        std = List(3) { 1.0 },
    )
    val shape = listOf(1, SIDE, SIDE, 3)
    val binding = InputBinding(tensor = "image", shape = shape, layout = Layout.NHWC)
    val pipeline = PixelPipeline(input, binding)
    val picture = RgbPicture(noise(1, height * width * 3), height, width)
    return median { pipeline.fill(picture) }
}

/** YOLOv8n's head, [1, 84, 8400], one score in 400 over the threshold. */
private fun decode(): Double {
    val contract = Contract.parse(CONTRACT)
    val decoder = Decoder(contract, Binding.parse(BINDING))
    val count = (4 + CLASSES) * ANCHORS
    val bytes = ByteBuffer.allocateDirect(count * 4).order(ByteOrder.nativeOrder())
    val floats = bytes.asFloatBuffer()
    val random = noise(7, count)
    for (i in 0 until count) {
        val level = random[i].toInt() and 255
        val isHit = i % 33_601 == 0
        val value = when {
            i < 4 * ANCHORS -> level * 2f
            isHit -> 0.9f
            else -> level / 1200f
        }
        floats.put(i, value)
    }
    val outputs = listOf(OutputTensor("out", DType.FLOAT32, listOf(1, 84, ANCHORS), bytes))
    val plan = GeometryPlan.of(contract.image, 1080, 1920)
    check(decoder.detections(outputs, plan).isNotEmpty())
    return median { decoder.detections(outputs, plan) }
}

private fun median(work: () -> Unit): Double {
    val warm = System.nanoTime() + WARM_UP_NANOS
    while (System.nanoTime() < warm) work()
    // Processor time of this thread: what other programs take does not count.
    val clock = ManagementFactory.getThreadMXBean()
    val times = ArrayList<Long>()
    val end = System.nanoTime() + RUN_NANOS
    while (System.nanoTime() < end) {
        val start = clock.currentThreadCpuTime
        work()
        times.add(clock.currentThreadCpuTime - start)
    }
    return times.sorted()[times.size / 2] / NANOS
}

private const val CONTRACT =
    """{"name":"speed","task":"detect","inputs":[{"geometry":[
    {"op":"resize","to":"contain","size":[640,640]},{"op":"pad","size":[640,640]}],
    "size":[640,640],"scale":0.00392156862745098,"mean":[0,0,0],"std":[1,1,1]}],
    "decode":{"confidence":0.25,"nms":{"iou":0.45}}}"""

private const val BINDING =
    """{"contract":"","format":"tflite","inputs":[{"tensor":"image","shape":[1,640,640,3],
    "layout":"NHWC"}],"outputs":[
    {"tensor":"out","role":"boxes","shape":[1,84,8400],"axes":["coord","anchor"],"slice":[0,4],
     "box":{"format":"cxcywh"}},
    {"tensor":"out","role":"scores","shape":[1,84,8400],"axes":["class","anchor"],
     "slice":[4,84]}]}"""
