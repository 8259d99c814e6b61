package ai.phoneproof.decode

import ai.phoneproof.BindingError
import ai.phoneproof.BusyError
import ai.phoneproof.ContractError
import ai.phoneproof.contract.Binding
import ai.phoneproof.contract.Contract
import ai.phoneproof.contract.Decode
import ai.phoneproof.contract.Role
import ai.phoneproof.contract.Task
import ai.phoneproof.pixels.GeometryPlan
import java.util.concurrent.atomic.AtomicBoolean

/** Most detections kept of a model whose boxes are final. */
private const val FINAL_DETECTIONS = 300

private val DECODED_ROLES =
    setOf(Role.BOXES, Role.DFL, Role.SCORES, Role.OBJECTNESS, Role.CLASSES, Role.COUNT, Role.RAW)

/**
 * From output tensors to results, equal to the Python reference: same order, same classes, boxes
 * within 1e-4 pixels, scores within 1e-6. Scratch is made once; one thread at a time.
 *
 * @throws BindingError binding and contract do not fit each other, or a head that this version does
 *   not decode.
 */
public class Decoder(private val contract: Contract, private val binding: Binding) {
    private val tensors = TensorCache()
    private val source: CandidateSource?
    private val classifier: ClassRanking?
    private val raw: List<TensorFloats>
    private val policy: Decode?
    private val candidates = Candidates()
    private val kept = Kept()
    private var boxes = FloatArray(0)
    private val busy = AtomicBoolean()

    init {
        if (contract.task != Task.RAW) checkRoles()
        policy = binding.decodeOverride ?: contract.decode
        source = if (contract.task == Task.DETECT) detector() else null
        classifier = if (contract.task == Task.CLASSIFY) ranking() else null
        raw = if (contract.task == Task.RAW) {
            binding.tensors.map { name ->
                tensors.of(binding.outputs.first { it.tensor == name })
            }
        } else {
            emptyList()
        }
    }

    /**
     * Detections of one image, best first.
     *
     * @param outputs the tensors of a run; more than the binding names may be there.
     * @param plan what [ai.phoneproof.pixels.PixelPipeline.fill] returned for the picture.
     * @param index which image of the batch.
     * @throws ContractError the contract is of another task.
     * @throws ai.phoneproof.OutputError tensors that do not fit the binding.
     */
    @JvmOverloads
    public fun detections(
        outputs: List<OutputTensor>,
        plan: GeometryPlan,
        index: Int = 0,
    ): List<Detection> = exclusively {
        val head = source ?: throw otherTask(Task.DETECT)
        tensors.read(outputs, index)
        collect(head)
        placeBoxes(plan)
        List(kept.count) { rank -> detection(rank) }
    }

    /**
     * Classes of one image that have a label, most probable first, equal ones by index.
     *
     * @throws ContractError the contract is of another task.
     * @throws ai.phoneproof.OutputError tensors that do not fit the binding.
     */
    @JvmOverloads
    public fun classes(outputs: List<OutputTensor>, index: Int = 0): List<Classification> =
        exclusively {
            val ranking = classifier ?: throw otherTask(Task.CLASSIFY)
            tensors.read(outputs, index)
            ranking.classes()
        }

    /**
     * Every tensor of the binding as the model gave it, dequantised.
     *
     * @throws ContractError the contract is of another task.
     * @throws ai.phoneproof.OutputError tensors that do not fit the binding.
     */
    @JvmOverloads
    public fun raw(outputs: List<OutputTensor>, index: Int = 0): List<RawTensor> = exclusively {
        if (contract.task != Task.RAW) throw otherTask(Task.RAW)
        tensors.read(outputs, index)
        raw.map { RawTensor(it.name, it.shape, it.values.copyOf()) }
    }

    private fun collect(head: CandidateSource) {
        val rules = checkNotNull(policy) { "a detector has a policy" }
        candidates.clear()
        head.collect(rules.confidence.toFloat(), rules.multiLabel, candidates)
        candidates.rank()
        val nms = rules.nms
        if (nms == null || binding.nmsInFile) {
            kept.takeBest(candidates, nms?.maxDetections ?: FINAL_DETECTIONS)
        } else {
            kept.suppress(
                candidates,
                nms.iou.toFloat(),
                nms.classAgnostic,
                nms.preTopK,
                nms.maxDetections,
            )
        }
    }

    /** The kept boxes, best first, in pixels of the original. */
    private fun placeBoxes(plan: GeometryPlan) {
        if (boxes.size < kept.count * 4) boxes = FloatArray(kept.count * 4)
        for (rank in 0 until kept.count) {
            val from = kept.indices[rank] * 4
            candidates.boxes.copyInto(boxes, rank * 4, from, from + 4)
        }
        plan.toOriginal(boxes, kept.count)
    }

    private fun detection(rank: Int): Detection {
        val candidate = kept.indices[rank]
        val classIndex = candidates.classes[candidate]
        return Detection(
            classIndex = classIndex,
            label = contract.label(classIndex),
            score = candidates.scores[candidate],
            left = boxes[rank * 4],
            top = boxes[rank * 4 + 1],
            right = boxes[rank * 4 + 2],
            bottom = boxes[rank * 4 + 3],
        )
    }

    private fun detector(): CandidateSource {
        if (policy == null) throw ContractError("the contract has no decode")
        val isFinal = binding.outputs.any { it.role == Role.CLASSES }
        return if (isFinal) {
            FinalRows(contract, binding, tensors)
        } else {
            HeadScan(contract, binding, tensors)
        }
    }

    private fun ranking(): ClassRanking {
        val scores = RoleLevels.of(binding, Role.SCORES, tensors)
        if (scores.rows != 1) {
            throw BindingError(
                "a classifier's scores must be one row of classes",
                "${scores.rows} rows of ${scores.width} values",
                "pool the spatial positions inside the model, or use task raw",
            )
        }
        requireLabels(scores.width, contract)
        return ClassRanking(scores, contract)
    }

    private fun checkRoles() {
        val roles = binding.outputs.map { it.role }.toSet()
        val unknown = roles - DECODED_ROLES
        if (unknown.isNotEmpty()) {
            throw BindingError(
                "the binding has outputs that this version does not decode",
                "roles ${unknown.joinToString { it.name.lowercase() }}",
                "use boxes or dfl, scores, objectness, classes and count, or task raw",
            )
        }
        val both = Role.BOXES in roles && Role.DFL in roles
        if (both || (Role.COUNT in roles && Role.CLASSES !in roles)) {
            throw BindingError(
                "the roles of the binding do not go together",
                "roles ${roles.joinToString { it.name.lowercase() }}",
                "give boxes or dfl, not both; count belongs to final detections (classes)",
            )
        }
    }

    private fun otherTask(asked: Task): ContractError = ContractError(
        "the contract's task is another one",
        "task ${contract.task.name.lowercase()}, asked for ${asked.name.lowercase()}",
        "call the function of the contract's task",
    )

    private inline fun <T> exclusively(work: () -> T): T {
        if (!busy.compareAndSet(false, true)) {
            throw BusyError(
                "two threads use one decoder",
                nextStep = "give each thread its own, or call from one thread",
            )
        }
        try {
            return work()
        } finally {
            busy.set(false)
        }
    }
}

/** As many classes as the contract has labels, where it has any. */
internal fun requireLabels(classes: Int, contract: Contract) {
    if (contract.labels.isEmpty() || classes == contract.labels.size) return
    throw BindingError(
        "the model has another number of classes than the contract has labels",
        "$classes classes, ${contract.labels.size} labels",
        "correct the labels (null for background) or the slice of the scores",
    )
}
