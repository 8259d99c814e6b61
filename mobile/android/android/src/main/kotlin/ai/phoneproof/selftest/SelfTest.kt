package ai.phoneproof.selftest

import ai.phoneproof.ImageError
import ai.phoneproof.ModelFileError
import ai.phoneproof.ModelFolder
import ai.phoneproof.ModelParts
import ai.phoneproof.PhoneproofError
import ai.phoneproof.acceleration.AcceleratorFailure
import ai.phoneproof.acceleration.GoldenCheck
import ai.phoneproof.acceleration.GoldenInput
import ai.phoneproof.acceleration.GuardedEngine
import ai.phoneproof.acceleration.TrialLimits
import ai.phoneproof.acceleration.directBuffer
import ai.phoneproof.acceleration.millis
import ai.phoneproof.contract.Task
import ai.phoneproof.decode.Decoder
import ai.phoneproof.decode.OutputTensor
import ai.phoneproof.engine.Accelerator
import ai.phoneproof.engine.AcceleratorKind
import ai.phoneproof.engine.EngineFactory
import ai.phoneproof.image.PictureInput
import ai.phoneproof.pixels.GeometryPlan
import ai.phoneproof.thermal.AndroidThermalSource
import ai.phoneproof.thermal.ThermalSource
import android.content.Context
import java.io.File
import java.io.IOException
import java.nio.ByteBuffer

/**
 * How long the self-test takes.
 *
 * @property timedRuns inferences on each accelerator, after [warmUpRuns] others.
 * @property sustainedSeconds one inference after the other on the fastest right accelerator: does
 *   the device throttle? 0: left out.
 */
public class SelfTestOptions @JvmOverloads constructor(
    public val warmUpRuns: Int = 5,
    public val timedRuns: Int = 50,
    public val sustainedSeconds: Double = 0.0,
    public val limits: TrialLimits = TrialLimits(),
    public val leastSnrDb: Double = 35.0,
) {
    private companion object {
        const val MOST_SECONDS = 86_400.0
    }

    init {
        require(timedRuns > 0 && warmUpRuns >= 0) { "at least one run is timed" }
        require(sustainedSeconds in 0.0..MOST_SECONDS) { "sustainedSeconds must be 0 to a day" }
    }
}

/**
 * Runs the golden vectors of a bundle on this device, times every accelerator and writes what came
 * of it: `device-results.json`, which `phoneproof verify --results` judges. Nothing here judges.
 *
 * Takes seconds to minutes; not for the main thread. Close other models first: they share the
 * accelerators.
 */
public class SelfTest @JvmOverloads constructor(
    context: Context,
    folder: ModelFolder,
    model: String,
    private val engines: EngineFactory,
    private val options: SelfTestOptions = SelfTestOptions(),
    private val thermal: ThermalSource = AndroidThermalSource(context),
) {
    private val parts = ModelParts.read(folder, model)
    private val vectors = parts.vectors ?: throw ModelFileError(
        "the bundle has no golden vectors of this model",
        model,
        "copy the bundle's golden folder beside it",
    )
    private val input = PictureInput(parts.contract.image, parts.binding.image)
    private val decoder = Decoder(parts.contract, parts.binding)

    /** One golden case as this device sees it. */
    private class Seen(val case: GoldenCase, val tensor: ByteBuffer, val plan: GeometryPlan)

    /** One accelerator that was run. */
    private class Ran(val result: AcceleratorResult, val isRight: Boolean)

    /**
     * Runs everything.
     *
     * @param progress told what is being done, on this thread.
     * @return the text of `device-results.json`.
     * @throws PhoneproofError parts of the bundle that are missing or do not fit.
     */
    @JvmOverloads
    @Throws(PhoneproofError::class)
    public fun run(progress: (String) -> Unit = {}): String {
        val seen = vectors.cases.mapNotNull { seen(it) }
        if (seen.isEmpty()) throw nothingSeen()
        val check = check(seen)
        val results = engines.candidates.map { candidate ->
            progress(candidate.title)
            tried(candidate, seen, check)
        }
        val best = results.filter { it.isRight }.map { it.result }
            .minByOrNull { it.latency?.p50Ms ?: Double.MAX_VALUE }
        if (best != null && options.sustainedSeconds > 0) {
            progress("${best.accelerator.title}, ${options.sustainedSeconds} s")
            try {
                best.sustained = sustained(best.accelerator, seen)
            } catch (failure: AcceleratorFailure) {
                best.reason = "in the sustained run: ${failure.message}"
            }
        }
        val engine = results.firstNotNullOfOrNull { it.result.engineVersion }.orEmpty()
        val document = DeviceDocument(
            contract = parts.contract.sha256,
            golden = vectors.sha256,
            artifact = parts.file.sha256,
            engine = engines.name,
            engineVersion = engine,
        )
        return document.text(results.map { it.result })
    }

    /** [run], written to [file] when it is whole. */
    @JvmOverloads
    @Throws(PhoneproofError::class, IOException::class)
    public fun write(file: File, progress: (String) -> Unit = {}) {
        val text = run(progress)
        writeWhole(file) { it.write(text.toByteArray()) }
    }

    /** Null where this device cannot decode the picture: what is missing shows in the verdict. */
    private fun seen(case: GoldenCase): Seen? = try {
        val plan = input.fill(vectors.picture(case))
        val copy = directBuffer(input.tensor.capacity())
        copy.put(input.tensor.duplicate().apply { clear() }).clear()
        Seen(case, copy, plan)
    } catch (_: ImageError) {
        null
    }

    private fun check(seen: List<Seen>): GoldenCheck? {
        val inputs = seen.filter { it.case.isLossless }.map { one ->
            GoldenInput(one.tensor, one.case.outputs.map { vectors.values(it) })
        }
        return if (inputs.isEmpty()) null else GoldenCheck(inputs, options.leastSnrDb)
    }

    private fun tried(candidate: Accelerator, seen: List<Seen>, check: GoldenCheck?): Ran {
        val start = System.nanoTime()
        val engine = try {
            GuardedEngine.open(engines, parts.file, candidate, options.limits)
        } catch (failure: AcceleratorFailure) {
            return Ran(absent(candidate, failure), isRight = false)
        }
        try {
            val loadMs = millis(System.nanoTime() - start)
            return ran(engine, loadMs, seen, check)
        } catch (failure: AcceleratorFailure) {
            val result = AcceleratorResult(candidate, RunState.FAILED, failure.message.orEmpty())
            return Ran(result, isRight = false)
        } finally {
            engine.close()
        }
    }

    private fun absent(candidate: Accelerator, failure: AcceleratorFailure): AcceleratorResult {
        val isMissing = candidate.kind != AcceleratorKind.CPU && failure.cause is PhoneproofError
        val state = if (isMissing) RunState.UNAVAILABLE else RunState.FAILED
        return AcceleratorResult(candidate, state, failure.message.orEmpty())
    }

    private fun ran(
        engine: GuardedEngine,
        loadMs: Double,
        seen: List<Seen>,
        check: GoldenCheck?,
    ): Ran {
        val result = AcceleratorResult(engine.accelerator, RunState.RAN)
        result.loadMs = loadMs
        result.engineVersion = engine.version
        var isRight = check != null
        val first = System.nanoTime()
        var firstMs: Double? = null
        for (one in seen) {
            val outputs = engine.run(one.tensor)
            if (firstMs == null) firstMs = millis(System.nanoTime() - first)
            result.vectors += recorded(engine, one, outputs)
            val golden = check?.inputs?.firstOrNull { it.input === one.tensor } ?: continue
            if (check.reasonAgainst(golden, engine.outputs, outputs) != null) isRight = false
        }
        result.latency = latency(engine, seen.first().tensor, firstMs)
        result.thermal = thermal.status()
        return Ran(result, isRight)
    }

    private fun recorded(
        engine: GuardedEngine,
        one: Seen,
        outputs: List<ByteBuffer>,
    ): VectorResult {
        val named = engine.outputs.zip(outputs) { info, bytes ->
            OutputTensor(info.name, info.dtype, info.shape, bytes)
        }
        val tensors = one.case.outputs.mapNotNull { golden ->
            named.firstOrNull { it.name == golden.name }?.let { OutputResult(golden, it.bytes) }
        }
        val result = VectorResult(one.case.id, one.tensor, tensors)
        when (parts.contract.task) {
            Task.DETECT -> result.boxes = decoder.detections(named, one.plan)
            Task.CLASSIFY -> result.classes = decoder.classes(named).take(TOP)
            Task.RAW -> Unit
        }
        return result
    }

    private fun latency(
        engine: GuardedEngine,
        tensor: ByteBuffer,
        firstMs: Double?,
    ): LatencyResult {
        repeat(options.warmUpRuns) { engine.run(tensor) }
        val times = LongArray(options.timedRuns) { timed(engine, tensor) }
        times.sort()
        return LatencyResult(
            n = times.size,
            warmUp = options.warmUpRuns,
            firstMs = firstMs,
            p50Ms = millis(times[times.size / 2]),
            p95Ms = millis(times[minOf(times.size - 1, times.size * 95 / 100)]),
        )
    }

    private fun nothingSeen() = ImageError(
        "no golden picture can be decoded on this device",
        "${vectors.cases.size} pictures, none of a type that Android knows",
        "build the bundle with PNG pictures among its golden ones",
    )

    private fun sustained(accelerator: Accelerator, seen: List<Seen>): SustainedResult {
        val tensor = seen.first().tensor
        val times = ArrayList<Long>()
        val start = System.nanoTime()
        val length = (options.sustainedSeconds * 1e9).toLong()
        val engine = GuardedEngine.open(engines, parts.file, accelerator, options.limits)
        try {
            do {
                times += timed(engine, tensor)
            } while (System.nanoTime() - start < length)
        } finally {
            engine.close()
        }
        val tenth = maxOf(1, times.size / 10)
        return SustainedResult(
            seconds = (System.nanoTime() - start) / 1e9,
            n = times.size,
            firstP50Ms = millis(times.take(tenth).sorted()[tenth / 2]),
            lastP50Ms = millis(times.takeLast(tenth).sorted()[tenth / 2]),
            thermal = thermal.status(),
        )
    }

    private fun timed(engine: GuardedEngine, tensor: ByteBuffer): Long {
        val start = System.nanoTime()
        engine.run(tensor)
        return System.nanoTime() - start
    }

    private companion object {
        const val TOP = 5
    }
}
