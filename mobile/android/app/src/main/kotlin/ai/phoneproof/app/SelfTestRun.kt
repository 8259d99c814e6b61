package ai.phoneproof.app

import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.AcceleratorKind
import ai.phoneproof.selftest.GoldenProof
import ai.phoneproof.selftest.SelfTest
import android.content.Context
import org.json.JSONObject

/** The self-test: it goes on while its screen is turned or left. For the main thread. */
class SelfTestRun(private val context: Context, private val host: ModelHost) {
    /** What is being done or came of it; null before the first run. */
    var text: String? = null
        private set
    var isRunning = false
        private set

    /** Whether there is a file of results to share. */
    var hasResults = false
        private set

    /** Told of every change; one screen at a time. */
    var onChange: () -> Unit = {}

    fun start() {
        if (isRunning) return
        val model = host.chosen
        isRunning = true
        hasResults = false
        progress(model)
        host.runAlone({ tested(model) }) { outcome ->
            isRunning = false
            hasResults = outcome.isSuccess
            text = outcome.getOrElse { it.describe(context) }
            onChange()
        }
    }

    private fun progress(now: String) {
        text = context.getString(R.string.self_test_runs, now)
        onChange()
    }

    /** What is equal to Python's, and how fast each accelerator is; the file says more. */
    private fun tested(model: String): String {
        val proof = GoldenProof(host.folder, model)
        val equal = context.getString(R.string.proof_equal, proof.pictures.joinToString())
        val proved = proof.differences().map { it.toString() }.ifEmpty { listOf(equal) }
        val file = AppFiles.resultsFile(context)
        SelfTest(context, host.folder, model, host.engines).write(file) { now ->
            host.onMain { progress(now) }
        }
        val ran = JSONObject(file.readText()).getJSONArray("accelerators")
        val lines = (0 until ran.length()).map { accelerator(ran.getJSONObject(it)) }
        return (proved + lines).joinToString("\n")
    }

    private fun accelerator(ran: JSONObject): String {
        val kind = AcceleratorKind.entries.first { it.id == ran.getString("kind") }
        val threads = if (ran.has("threads")) ran.getInt("threads") else null
        val title = Accelerator(kind, ran.getString("name"), threads).title
        val latency =
            ran.optJSONObject("latency")
                ?: return context.getString(R.string.why_not, title, ran.getString("reason"))
        val (p50, p95) = listOf("p50_ms", "p95_ms").map { latency.getDouble(it) }
        return context.getString(R.string.accelerator_ran, title, p50, p95)
    }
}
