package ai.phoneproof.app

import ai.phoneproof.engine.EngineFactory
import android.app.Activity
import android.app.Application
import android.content.ComponentCallbacks2

/** Holds the one model that all screens share. */
open class PhoneproofApp : Application() {
    /** The library that runs the model; see Engines.kt. */
    protected open fun engineFactory(): EngineFactory = engines(this)

    val host: ModelHost by lazy { ModelHost(this, engineFactory()) }

    val selfTest: SelfTestRun by lazy { SelfTestRun(this, host) }

    /** Nothing of the app is visible: a model takes memory and accelerators that others need. */
    override fun onTrimMemory(level: Int) {
        super.onTrimMemory(level)
        if (level >= ComponentCallbacks2.TRIM_MEMORY_UI_HIDDEN) host.close()
    }
}

/** The app that this screen belongs to. */
val Activity.app: PhoneproofApp get() = application as PhoneproofApp
