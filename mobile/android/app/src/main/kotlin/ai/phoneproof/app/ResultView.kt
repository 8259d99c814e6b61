package ai.phoneproof.app

import ai.phoneproof.decode.Detection
import ai.phoneproof.pixels.VisibleRegion
import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Matrix
import android.graphics.Paint
import android.graphics.RectF
import android.util.AttributeSet
import android.view.View

/**
 * A picture as large as fits, with boxes drawn over it and what the model does not see darkened.
 * Without a bitmap it lies over a camera preview that is fitted in the same way.
 */
class ResultView @JvmOverloads constructor(context: Context, attributes: AttributeSet? = null) :
    View(context, attributes) {
    private val stroke = resources.getDimension(R.dimen.box_stroke)
    private val line = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        style = Paint.Style.STROKE
        strokeWidth = stroke
    }
    private val fill = Paint()
    private val text = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        textSize = resources.getDimension(R.dimen.box_text)
    }
    private val smooth = Paint(Paint.FILTER_BITMAP_FLAG)
    private val toView = Matrix()
    private val whole = RectF()
    private val fitted = RectF()
    private val box = RectF()
    private val labels = ArrayList<RectF>()

    private var bitmap: Bitmap? = null
    private var region: VisibleRegion? = null
    private var boxes: List<Detection> = emptyList()

    /** Shows a photo with what was found in it. */
    fun show(photo: Photo, seen: VisibleRegion, findings: Findings) {
        bitmap = photo.bitmap
        show(photo.width, photo.height, seen, findings)
    }

    /** Shows what was found in an upright picture of this size. */
    fun show(width: Int, height: Int, seen: VisibleRegion, findings: Findings) {
        whole.set(0f, 0f, width.toFloat(), height.toFloat())
        region = seen
        boxes = (findings as? Findings.Boxes)?.all.orEmpty()
        val found = findings.describe(context).replace("\n", ", ")
        contentDescription = context.getString(R.string.picture_with, found)
        invalidate()
    }

    fun clear() {
        bitmap = null
        region = null
        boxes = emptyList()
        whole.setEmpty()
        contentDescription = context.getString(R.string.picture_of_nothing)
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        if (whole.isEmpty) return
        fitted.set(0f, 0f, width.toFloat(), height.toFloat())
        toView.setRectToRect(whole, fitted, Matrix.ScaleToFit.CENTER)
        toView.mapRect(fitted, whole)
        bitmap?.let { canvas.drawBitmap(it, null, fitted, smooth) }
        region?.let { drawRegion(canvas, it) }
        for (place in boxes.indices.reversed()) drawBox(canvas, boxes[place])
        labels.clear()
        for (found in boxes) drawLabel(canvas, found)
    }

    private fun drawRegion(canvas: Canvas, seen: VisibleRegion) {
        box.set(seen.left, seen.top, seen.right, seen.bottom)
        if (box == whole) return
        toView.mapRect(box)
        fill.color = context.getColor(R.color.region_outside)
        canvas.drawRect(fitted.left, fitted.top, fitted.right, box.top, fill)
        canvas.drawRect(fitted.left, box.bottom, fitted.right, fitted.bottom, fill)
        canvas.drawRect(fitted.left, box.top, box.left, box.bottom, fill)
        canvas.drawRect(box.right, box.top, fitted.right, box.bottom, fill)
        line.color = context.getColor(R.color.region_edge)
        box.inset(stroke / 2, stroke / 2)
        canvas.drawRect(box, line)
    }

    private fun drawBox(canvas: Canvas, found: Detection) {
        place(found)
        line.color = classColour(found.classIndex)
        canvas.drawRect(box, line)
    }

    /**
     * Above the box, or inside where there is no room; never beside the picture, and not where it
     * would cover the label of a better one.
     */
    private fun drawLabel(canvas: Canvas, found: Detection) {
        place(found)
        val label = score(context, found.label, found.score)
        val pad = stroke * 2
        val wide = text.measureText(label) + 2 * pad
        val high = text.fontSpacing + pad
        val left = (box.left - stroke / 2).coerceAtMost(fitted.right - wide).coerceAtLeast(0f)
        val top = if (box.top - high >= 0) box.top - high else box.top
        val area = RectF(left, top, left + wide, top + high)
        if (labels.any { RectF.intersects(it, area) }) return
        labels += area
        val colour = classColour(found.classIndex)
        fill.color = colour
        canvas.drawRect(area, fill)
        text.color = if (Color.luminance(colour) > BRIGHT) Color.BLACK else Color.WHITE
        canvas.drawText(label, left + pad, top + pad / 2 - text.ascent(), text)
    }

    /** Where a detection lies in the view: in [box]. */
    private fun place(found: Detection) {
        box.set(found.left, found.top, found.right, found.bottom)
        toView.mapRect(box)
    }

    private companion object {
        /** Black is easier to read on what is brighter than this, by WCAG's contrast. */
        const val BRIGHT = 0.18f

        /** Turns of the golden angle: neighbours in the list of classes look different. */
        const val TURN = 137.508f

        fun classColour(index: Int): Int =
            Color.HSVToColor(floatArrayOf(index * TURN % 360f, 0.85f, 0.95f))
    }
}
