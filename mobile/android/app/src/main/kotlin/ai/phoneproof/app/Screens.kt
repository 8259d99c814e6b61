package ai.phoneproof.app

import ai.phoneproof.PhoneproofError
import android.os.Build
import android.view.View
import android.view.WindowInsets

/** Keeps the content clear of the system's bars and of the camera's hole, edge to edge or not. */
fun View.keepClearOfBars() {
    val (left, top, right, bottom) = listOf(paddingLeft, paddingTop, paddingRight, paddingBottom)
    setOnApplyWindowInsetsListener { view, insets ->
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.R) {
            val kinds = WindowInsets.Type.systemBars() or WindowInsets.Type.displayCutout()
            val bars = insets.getInsets(kinds)
            view.setPadding(
                left + bars.left,
                top + bars.top,
                right + bars.right,
                bottom + bars.bottom,
            )
        } else {
            @Suppress("DEPRECATION")
            view.setPadding(
                left + insets.systemWindowInsetLeft,
                top + insets.systemWindowInsetTop,
                right + insets.systemWindowInsetRight,
                bottom + insets.systemWindowInsetBottom,
            )
        }
        insets
    }
}

/** An error as the library wrote it: what failed, what was found, what to do. */
fun Throwable.asText(): String =
    when (this) {
        is PhoneproofError -> listOfNotNull(failed, found, nextStep).joinToString("\n\n")
        else -> message ?: javaClass.simpleName
    }
