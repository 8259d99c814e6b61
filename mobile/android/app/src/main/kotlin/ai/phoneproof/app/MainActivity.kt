package ai.phoneproof.app

import ai.phoneproof.VisionModel
import ai.phoneproof.pixels.VisibleRegion
import android.Manifest
import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.ClipData
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.provider.MediaStore
import android.view.View
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.Spinner
import android.widget.TextView

/** Choose a model and a photo; see what the model finds in it. */
class MainActivity : Activity() {
    private lateinit var picture: ResultView
    private lateinit var results: TextView
    private val host: ModelHost get() = app.host
    private var photo: Uri? = null

    /** Counts requests: an answer to an earlier one is of no interest any more. */
    private var request = 0

    /** A photo, what the model found in it and how long that took. */
    private class Seen(
        val photo: Photo,
        val region: VisibleRegion,
        val findings: Findings,
        val caption: String,
    )

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.activity_main)
        findViewById<View>(R.id.root).keepClearOfBars()
        picture = findViewById(R.id.picture)
        results = findViewById(R.id.results)
        findViewById<Button>(R.id.pick).setOnClickListener { pickPhoto() }
        findViewById<Button>(R.id.take).setOnClickListener { takePhotoIfAllowed() }
        findViewById<Button>(R.id.live).setOnClickListener { start(LiveActivity::class.java) }
        findViewById<Button>(R.id.details).setOnClickListener { start(DetailsActivity::class.java) }
        photo = state?.getString(PHOTO)?.let(Uri::parse)
        listModels(findViewById(R.id.models))
        look()
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putString(PHOTO, photo?.toString())
    }

    override fun onDestroy() {
        request++
        super.onDestroy()
    }

    private fun listModels(spinner: Spinner) {
        val models = host.models
        val names = models.map { it.substringAfterLast('/') }
        val adapter = ArrayAdapter(this, android.R.layout.simple_spinner_item, names)
        adapter.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item)
        spinner.adapter = adapter
        spinner.setSelection(models.indexOf(host.chosen))
        spinner.onItemSelectedListener = object : AdapterView.OnItemSelectedListener {
            override fun onItemSelected(
                parent: AdapterView<*>?,
                view: View?,
                position: Int,
                id: Long,
            ) {
                if (models[position] == host.chosen) return
                host.chosen = models[position]
                look()
            }

            override fun onNothingSelected(parent: AdapterView<*>?) = Unit
        }
    }

    private fun look() {
        val uri = photo
        if (uri == null) {
            picture.clear()
            results.setText(R.string.no_photo)
            return
        }
        val asked = ++request
        results.setText(R.string.working)
        host.run({ seen(it, uri) }) { seen ->
            if (asked == request) seen.fold(::show, ::show)
        }
    }

    private fun seen(model: VisionModel, uri: Uri): Seen {
        val start = System.nanoTime()
        val findings = model.findIn(this, uri)
        val nanos = System.nanoTime() - start
        host.latency.add(nanos)
        val input = model.contract.image
        val shown = Photo.load(this, uri, input.orientation)
        val region = VisibleRegion.of(input, shown.width, shown.height)
        val caption = getString(R.string.took, Latency.millis(nanos), model.acceleratorInUse.title)
        return Seen(shown, region, findings, caption)
    }

    private fun show(seen: Seen) {
        picture.show(seen.photo, seen.region, seen.findings)
        val lines = listOf(seen.findings.describe(this), seen.caption)
        results.text = lines.joinToString("\n")
    }

    private fun show(error: Throwable) {
        picture.clear()
        results.text = error.describe(this)
    }

    private fun start(screen: Class<out Activity>) = startActivity(Intent(this, screen))

    private fun pickPhoto() {
        val intent = if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.TIRAMISU) {
            Intent(MediaStore.ACTION_PICK_IMAGES)
        } else {
            Intent(Intent.ACTION_GET_CONTENT).addCategory(Intent.CATEGORY_OPENABLE)
        }
        ask(intent.setType("image/*"), PICK, R.string.no_photo_app)
    }

    /** An app that names the camera in its manifest must be allowed to use it for this as well. */
    private fun takePhotoIfAllowed() {
        if (checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED) {
            takePhoto()
        } else {
            requestPermissions(arrayOf(Manifest.permission.CAMERA), TAKE)
        }
    }

    private fun takePhoto() {
        val target = AppFiles.photo(this)
        val intent = Intent(MediaStore.ACTION_IMAGE_CAPTURE)
        intent.putExtra(MediaStore.EXTRA_OUTPUT, target)
        intent.clipData = ClipData.newRawUri("", target)
        val flags = Intent.FLAG_GRANT_READ_URI_PERMISSION or Intent.FLAG_GRANT_WRITE_URI_PERMISSION
        ask(intent.addFlags(flags), TAKE, R.string.no_camera_app)
    }

    private fun ask(intent: Intent, code: Int, nobody: Int) {
        try {
            @Suppress("DEPRECATION")
            startActivityForResult(intent, code)
        } catch (_: ActivityNotFoundException) {
            results.setText(nobody)
        }
    }

    override fun onRequestPermissionsResult(
        code: Int,
        permissions: Array<String>,
        granted: IntArray,
    ) {
        super.onRequestPermissionsResult(code, permissions, granted)
        if (granted.firstOrNull() == PackageManager.PERMISSION_GRANTED) {
            takePhoto()
        } else {
            results.setText(R.string.camera_refused)
        }
    }

    @Deprecated("Its successor is not in the framework.")
    override fun onActivityResult(code: Int, result: Int, data: Intent?) {
        @Suppress("DEPRECATION")
        super.onActivityResult(code, result, data)
        if (result != RESULT_OK) return
        photo = if (code == TAKE) AppFiles.photo(this) else data?.data ?: return
        look()
    }

    private companion object {
        const val PHOTO = "photo"
        const val PICK = 1
        const val TAKE = 2
    }
}
