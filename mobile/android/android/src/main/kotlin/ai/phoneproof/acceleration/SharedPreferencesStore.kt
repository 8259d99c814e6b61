package ai.phoneproof.acceleration

import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.engine.ModelFile
import android.annotation.SuppressLint
import android.content.Context
import android.os.Build

/** Remembers choices in the app's private preferences. */
public class SharedPreferencesStore(context: Context) : SelectionStore {
    private val preferences =
        context.getSharedPreferences("ai.phoneproof.accelerators", Context.MODE_PRIVATE)

    override fun read(key: String): String? = preferences.getString(key, null)

    // Not apply(): a driver may end the app before that has written.
    @SuppressLint("ApplySharedPref")
    override fun write(key: String, text: String) {
        preferences.edit().putString(key, text).commit()
    }
}

/** Another system, driver, model, app or engine is another choice. */
internal fun selectionKey(context: Context, model: ModelFile, engines: EngineFactory): String {
    val installed = context.packageManager.getPackageInfo(context.packageName, 0)
    return listOf(
        Build.FINGERPRINT,
        model.sha256,
        installed.lastUpdateTime,
        engines.name,
    ).joinToString("|")
}
