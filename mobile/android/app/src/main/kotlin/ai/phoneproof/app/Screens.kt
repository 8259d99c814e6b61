package ai.phoneproof.app

import ai.phoneproof.PhoneproofError
import android.content.Context
import android.graphics.Rect
import android.os.Build
import android.view.View
import android.view.WindowInsets

/**
 * Keeps the content clear of the system's bars and of the camera's hole, edge to edge or not.
 *
 * @param isAtBottom the view lies at the lower edge: the status bar does not reach it.
 */
fun View.keepClearOfBars(isAtBottom: Boolean = false) {
    val own = Rect(paddingLeft, paddingTop, paddingRight, paddingBottom)
    setOnApplyWindowInsetsListener { view, insets ->
        val bars = insets.bars()
        val top = if (isAtBottom) 0 else bars.top
        view.setPadding(
            own.left + bars.left,
            own.top + top,
            own.right + bars.right,
            own.bottom + bars.bottom,
        )
        insets
    }
}

private fun WindowInsets.bars(): Rect {
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.R) {
        val kinds = WindowInsets.Type.systemBars() or WindowInsets.Type.displayCutout()
        return getInsets(kinds).run { Rect(left, top, right, bottom) }
    }
    @Suppress("DEPRECATION")
    return Rect(
        systemWindowInsetLeft,
        systemWindowInsetTop,
        systemWindowInsetRight,
        systemWindowInsetBottom,
    )
}

/** An error as the library wrote it: what failed, what was found, what to do. */
fun Throwable.describe(context: Context): String = when (this) {
    is PhoneproofError ->
        listOfNotNull(
            failed,
            found?.let { context.getString(R.string.error_found, it) },
            nextStep?.let { context.getString(R.string.error_next, it) },
        ).joinToString("\n")

    else -> message ?: javaClass.simpleName
}
