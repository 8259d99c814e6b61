package ai.phoneproof.app

import ai.phoneproof.VisionModel
import android.app.Activity
import android.content.ClipData
import android.content.Intent
import android.os.Bundle
import android.view.View
import android.widget.Button
import android.widget.TextView

/** What computes and why, how fast, and whether it is right. */
class DetailsActivity : Activity() {
    private lateinit var outcome: TextView
    private lateinit var selfTest: Button
    private lateinit var share: Button

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.activity_details)
        findViewById<View>(R.id.root).keepClearOfBars()
        outcome = findViewById(R.id.outcome)
        selfTest = findViewById(R.id.self_test)
        share = findViewById(R.id.share)
        selfTest.setOnClickListener { app.selfTest.start() }
        share.setOnClickListener { shareResults() }
        showModel()
    }

    override fun onStart() {
        super.onStart()
        app.selfTest.onChange = ::showSelfTest
        showSelfTest()
    }

    override fun onStop() {
        app.selfTest.onChange = {}
        super.onStop()
    }

    private fun showModel() {
        val computes = findViewById<TextView>(R.id.computes)
        val others = findViewById<TextView>(R.id.others)
        val latency = app.host.latency.summary()
        findViewById<TextView>(R.id.latency).text =
            latency?.let { getString(R.string.latency, it.p50, it.p95, it.runs) }
                ?: getString(R.string.no_latency)
        app.host.run({ computes(it) to others(it) }) { texts ->
            computes.text = texts.fold({ it.first }, { it.describe(this) })
            others.text = texts.getOrNull()?.second
        }
    }

    private fun computes(model: VisionModel): String {
        val name = "${model.contract.name} ${model.contract.version}, ${model.binding.precision}"
        return "$name\n${app.host.engines.name}, ${model.acceleratorInUse.title}"
    }

    private fun others(model: VisionModel): String = model.whyNot
        .joinToString("\n") { getString(R.string.why_not, it.accelerator.title, it.reason) }
        .ifEmpty { getString(R.string.no_others) }

    private fun showSelfTest() {
        val run = app.selfTest
        outcome.text = run.text ?: getString(R.string.self_test_about)
        selfTest.isEnabled = !run.isRunning
        share.visibility = if (run.hasResults) View.VISIBLE else View.GONE
    }

    private fun shareResults() {
        val file = AppFiles.results(this)
        val intent = Intent(Intent.ACTION_SEND).setType("application/json")
        intent.putExtra(Intent.EXTRA_STREAM, file)
        intent.clipData = ClipData.newRawUri("", file)
        intent.addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
        startActivity(Intent.createChooser(intent, getString(R.string.share_results)))
    }
}
