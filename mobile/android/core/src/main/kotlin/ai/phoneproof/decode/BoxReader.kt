package ai.phoneproof.decode

import ai.phoneproof.BindingError
import ai.phoneproof.contract.Binding
import ai.phoneproof.contract.Box
import ai.phoneproof.contract.BoxFormat
import ai.phoneproof.contract.BoxUnits
import ai.phoneproof.contract.CoordOrder
import ai.phoneproof.contract.GridAnchors
import ai.phoneproof.contract.Layout
import ai.phoneproof.contract.OutputBinding
import ai.phoneproof.contract.PriorAnchors
import ai.phoneproof.contract.Role
import ai.phoneproof.contract.Size
import ai.phoneproof.contract.YoloAnchors
import kotlin.math.exp

/**
 * Boxes of single anchors, xyxy in pixels of the input tensor: the table of anchors and formats of
 * binding/1. Each step is one float32 operation, as in `phoneproof/decode/anchors.py`.
 */
internal class BoxReader(binding: Binding, tensors: TensorCache) {
    private val isDfl = binding.outputs.any { it.role == Role.DFL }
    val levels: RoleLevels = RoleLevels.of(binding, if (isDfl) Role.DFL else Role.BOXES, tensors)
    private val size = inputSize(binding)
    private val parts = levels.levels.map { it.output }
    private val box = boxOf(parts)
    private val swaps = box.order == CoordOrder.YX
    private val convert: Conversion

    /** The values of one anchor, then its box. */
    private val t = FloatArray(4)
    private val row = FloatArray(levels.width)

    init {
        if (isDfl) checkDfl(binding) else levels.requireWidth(4)
        checkBox()
        convert = when (val anchors = binding.anchors) {
            null -> coordinates(box.format, box.units)
            is PriorAnchors -> priors(anchors)
            is GridAnchors -> grid(anchors)
            is YoloAnchors -> yolo(anchors)
        }
    }

    /** Writes the box of anchor [anchor] to [out] from [at] on; false where it is not finite. */
    fun read(anchor: Int, out: FloatArray, at: Int): Boolean {
        levels.activatedRow(anchor, row)
        if (isDfl) expectedDistances(row, t) else row.copyInto(t, 0, 0, 4)
        if (swaps) {
            swap(0, 1)
            swap(2, 3)
        }
        convert.at(anchor)
        t.copyInto(out, at)
        return t[0].isFinite() && t[1].isFinite() && t[2].isFinite() && t[3].isFinite()
    }

    private fun swap(a: Int, b: Int) {
        val kept = t[a]
        t[a] = t[b]
        t[b] = kept
    }

    private fun set(x1: Float, y1: Float, x2: Float, y2: Float) {
        t[0] = x1
        t[1] = y1
        t[2] = x2
        t[3] = y2
    }

    private fun setCentred(x: Float, y: Float, width: Float, height: Float) {
        val halfWidth = width * 0.5f
        val halfHeight = height * 0.5f
        set(x - halfWidth, y - halfHeight, x + halfWidth, y + halfHeight)
    }

    private fun coordinates(format: BoxFormat, units: BoxUnits): Conversion {
        val known = format != BoxFormat.LTRB && format != BoxFormat.SSD
        if (units == BoxUnits.STRIDE || !known) throw noRow("no anchors")
        val fractions = units == BoxUnits.FRACTION
        val yFirst = format == BoxFormat.YXYX
        val first = if (!fractions) 1f else (if (yFirst) size.height else size.width).toFloat()
        val second = if (!fractions) 1f else (if (yFirst) size.width else size.height).toFloat()
        return Conversion {
            for (i in 0 until 4) t[i] *= if (i % 2 == 0) first else second
            if (yFirst) set(t[1], t[0], t[3], t[2])
            if (format == BoxFormat.CXCYWH) setCentred(t[0], t[1], t[2], t[3])
        }
    }

    private fun priors(anchors: PriorAnchors): Conversion {
        if (box.format != BoxFormat.SSD || box.units == BoxUnits.STRIDE) throw noRow("priors")
        val table = AnchorTable.ofPriors(anchors, levels.rows)
        val v = FloatArray(4) { box.variances?.get(it)?.toFloat() ?: 1f }
        val finish = coordinates(BoxFormat.CXCYWH, box.units)
        return Conversion { i ->
            set(
                t[0] * v[0] * table.width[i] + table.x[i],
                t[1] * v[1] * table.height[i] + table.y[i],
                exp(t[2] * v[2]) * table.width[i],
                exp(t[3] * v[3]) * table.height[i],
            )
            finish.at(i)
        }
    }

    private fun grid(anchors: GridAnchors): Conversion {
        val table = table(GridShape(anchors))
        val offset = anchors.offset.toFloat()
        return when (box.format) {
            BoxFormat.LTRB -> {
                Conversion { i ->
                    val x = table.x[i] + offset
                    val y = table.y[i] + offset
                    val s = table.stride[i]
                    set((x - t[0]) * s, (y - t[1]) * s, (x + t[2]) * s, (y + t[3]) * s)
                }
            }

            BoxFormat.CXCYWH -> {
                Conversion { i ->
                    val s = table.stride[i]
                    val x = (table.x[i] + offset + t[0]) * s
                    val y = (table.y[i] + offset + t[1]) * s
                    setCentred(x, y, exp(t[2]) * s, exp(t[3]) * s)
                }
            }

            else -> throw noRow("grid")
        }
    }

    private fun yolo(anchors: YoloAnchors): Conversion {
        val table = table(GridShape(anchors))
        if (box.format != BoxFormat.CXCYWH) throw noRow("yolo_anchor")
        return Conversion { i ->
            val s = table.stride[i]
            val x = (2f * t[0] - 0.5f + table.x[i]) * s
            val y = (2f * t[1] - 0.5f + table.y[i]) * s
            val w = 2f * t[2]
            val h = 2f * t[3]
            setCentred(x, y, w * w * table.width[i], h * h * table.height[i])
        }
    }

    private fun table(shape: GridShape): AnchorTable {
        val cells = shape.cells(parts, size, levels.rows)
        if (box.units == BoxUnits.FRACTION) throw noRow("grid anchors, in fractions")
        return AnchorTable.ofGrid(shape.strides, shape.shapes, cells)
    }

    private fun checkDfl(binding: Binding) {
        if (levels.width % 4 != 0 || levels.width < 8) {
            throw BindingError(
                "dfl must have four times as many values an anchor as a side has bins",
                "${levels.width}",
                "check the axes and the slice of the binding's output",
            )
        }
        if (box.format != BoxFormat.LTRB || binding.anchors !is GridAnchors) {
            throw BindingError(
                "a distribution over bins gives distances from the cells of a grid",
                "format ${box.format.name.lowercase()}",
                "give the output with role dfl a box of format ltrb, and grid anchors",
            )
        }
    }

    private fun checkBox() {
        if (box.variances != null && box.format != BoxFormat.SSD) {
            throw noRow("variances without ssd")
        }
        if (swaps && (box.format == BoxFormat.XYXY || box.format == BoxFormat.YXYX)) {
            throw noRow("order yx")
        }
    }

    private fun noRow(anchors: String): BindingError = BindingError(
        "the binding's box format has no meaning with its anchors",
        "format ${box.format.name.lowercase()}, units ${box.units.name.lowercase()}, $anchors",
        "see the table of anchors and formats in the description of binding/1",
    )
}

/** Turns the values of one anchor into its box; an interface of its own boxes no number. */
private fun interface Conversion {
    fun at(anchor: Int)
}

private fun boxOf(parts: List<OutputBinding>): Box {
    val described = parts.map { it.box }.distinct()
    if (described.size != 1) {
        throw BindingError(
            "the levels of a head must share one box format",
            "${described.size} formats",
            "use the binding as it was written with this file",
        )
    }
    return described[0] ?: throw BindingError(
        "the binding does not say what its boxes mean",
        "box null",
        "give the output with role boxes a box (format and units)",
    )
}

/** Height and width of the input tensor, in pixels. */
private fun inputSize(binding: Binding): Size {
    val shape = binding.image.shape
    if (shape.size != 4) {
        throw BindingError(
            "the image input must have four axes",
            "shape $shape",
            "use the binding as it was written with this file",
        )
    }
    val first = if (binding.image.layout == Layout.NCHW) 2 else 1
    return Size(shape[first], shape[first + 1])
}

/** DFL: for each side the expectation of the bin's number under a softmax, float32 sums. */
private fun expectedDistances(logits: FloatArray, out: FloatArray) {
    val bins = logits.size / 4
    for (side in 0 until 4) {
        var largest = Float.NEGATIVE_INFINITY
        for (k in 0 until bins) largest = maxOf(largest, logits[side * bins + k])
        var total = 0f
        var weighted = 0f
        for (k in 0 until bins) {
            val power = exp(logits[side * bins + k] - largest)
            total += power
            weighted += power * k
        }
        out[side] = weighted / total
    }
}
