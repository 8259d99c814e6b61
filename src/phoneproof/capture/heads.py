"""What the outputs of a graph mean, from their shapes and the operators that make them.

Decided without running the model. Everything recognised comes with its reason; what fits no
known head stays ``raw``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from phoneproof.core.binding import Activation, Axis, Box, GridAnchors, OutputBinding
from phoneproof.core.capture import Finding, Hazard, Head, Inspection
from phoneproof.core.contract import Size, Task
from phoneproof.core.errors import Unsupported
from phoneproof.core.tensors import TensorSpec

STRIDES = (8, 16, 32)
"""YOLOv5 .. YOLO11 and YOLOX: three levels, at an eighth, a sixteenth and a 32nd of the image."""

_PROBABILITIES = ("Softmax", "Sigmoid", "HardSigmoid")
_LOGITS = ("Gemm", "MatMul", "Add", "Conv", "GlobalAveragePool", "AveragePool", "ReduceMean")
_FRACTION_LIMIT = 2.0
"""Box arithmetic of fractions knows priors in 0..1, variances and the 2 that halves a side; in
pixels it knows image sides or strides of at least 8."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """The operator that computes a part of an output, behind reshapes and concatenations.

    width: its size along the axis it is concatenated on, or None.
    """

    op: str
    width: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputFacts:
    """One output tensor and how the graph makes it.

    exponential: whether an Exp lies between the last convolution and the output.
    largest_constant: of the arithmetic there; None where there is none.
    """

    spec: TensorSpec
    leaves: tuple[Leaf, ...] = ()
    exponential: bool = False
    largest_constant: float | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape for batch 1; -1 where another axis is open."""
        return (1 if self.spec.shape[:1] == (-1,) else self.spec.shape[0], *self.spec.shape[1:])


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFacts:
    """What recognition looks at.

    ultralytics_task: the task recorded in the metadata of an Ultralytics export, "" without.
    """

    outputs: tuple[OutputFacts, ...]
    size: Size | None
    ultralytics_task: str = ""
    nms_inside: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadGuess:
    """A head, the task it serves and the family and preset that it implies ("" for none)."""

    task: Task
    head: Head
    family: str = ""
    preset: str = ""
    findings: tuple[Finding, ...] = ()


def recognise_head(facts: ModelFacts) -> HeadGuess:
    """The first known head that fits; otherwise every output raw."""
    if not facts.nms_inside:
        for recogniser in _RECOGNISERS:
            guess = recogniser(facts)
            if guess is not None:
                return guess
    return _raw(facts)


def unfit_for(task: Task, inspection: Inspection) -> Unsupported:
    """The error for a task that the recognised outputs cannot serve."""
    shapes = "; ".join(f"{o.name} {list(o.shape)}" for o in inspection.outputs)
    return Unsupported(
        f"the outputs fit no {task} head that is known",
        found=f"{shapes}; recognised as {inspection.task or 'nothing'}",
        next_step="describe the head in the configuration, export the model without its "
        'post-processing (NMS), or use task = "raw" to verify the tensors alone',
    )


def unlike_ranges(head: Head) -> Hazard | None:
    """Boxes in pixels beside scores in 0..1, in one tensor: what integers will break."""
    boxes = {o.tensor for o in head.outputs if o.role == "boxes"}
    shared = sorted({o.tensor for o in head.outputs if o.role == "scores" and o.tensor in boxes})
    if not shared:
        return None
    return Hazard(
        name="unlike_ranges",
        found=f"boxes and scores share output {', '.join(map(repr, shared))}",
        next_step="int8 gives both one scale and scores vanish: the head is split or kept float "
        "where integers are asked for",
        severity="note",
    )


def _classifier(facts: ModelFacts) -> HeadGuess | None:
    if len(facts.outputs) != 1:
        return None
    output = facts.outputs[0]
    axes = _class_axes(output.shape)
    ops = {leaf.op for leaf in output.leaves}
    if axes is None or len(ops) != 1:
        return None
    op = ops.pop()
    if op not in (*_PROBABILITIES, *_LOGITS, "LogSoftmax"):
        return None
    done = op in _PROBABILITIES
    reason = f"the graph ends in {op}" if done else f"the graph ends in {op}: logits"
    scores = OutputBinding(
        tensor=output.spec.name,
        role="scores",
        shape=output.shape,
        axes=axes,
        activation="none" if done else "softmax",
    )
    ultralytics = facts.ultralytics_task == "classify"
    return HeadGuess(
        task="classify",
        head=Head(outputs=(scores,)),
        family="ultralytics" if ultralytics else "",
        preset="ultralytics.classify" if ultralytics else "",
        findings=(
            _found("contract.task", "classify", f"one output {list(output.shape)}: one class row"),
            _found("head.scores", f"activation {scores.activation}", reason),
        ),
    )


def _class_axes(shape: tuple[int, ...]) -> tuple[Axis, ...] | None:
    """Axes of one row of at least two classes: [1,C], [1,C,1,1] or [1,1,1,C]."""
    if len(shape) == 2 and shape[1] >= 2:
        return ("class",)
    if len(shape) == 4 and shape[2:] == (1, 1) and shape[1] >= 2:
        return ("class", "y", "x")
    if len(shape) == 4 and shape[1:3] == (1, 1) and shape[3] >= 2:
        return ("y", "x", "class")
    return None


def _ultralytics(facts: ModelFacts) -> HeadGuess | None:
    """[1, 4 + C, A]: cx, cy, w, h in pixels above C sigmoid scores (YOLOv8, YOLO11)."""
    if len(facts.outputs) != 1 or facts.ultralytics_task not in ("", "detect"):
        return None
    output = facts.outputs[0]
    shape, leaves = output.shape, output.leaves
    if len(shape) != 3 or shape[1] < 5 or not _fits_cells(shape[2], facts.size):
        return None
    if len(leaves) != 2 or leaves[1].op != "Sigmoid" or leaves[1].width != shape[1] - 4:
        return None
    if leaves[0].op == "Conv":
        return None
    boxes = _part(output, "boxes", ("coord", "anchor"), (0, 4), Box(format="cxcywh"))
    scores = _part(output, "scores", ("class", "anchor"), (4, shape[1]))
    reason = (
        f"[1, 4 + {shape[1] - 4}, anchors]: four decoded coordinates joined to sigmoid scores, "
        "one anchor a cell of strides 8, 16, 32"
    )
    return HeadGuess(
        task="detect",
        head=Head(outputs=(boxes, scores)),
        family="ultralytics",
        preset="ultralytics.detect",
        findings=(
            _found("contract.task", "detect", reason),
            _found("head.boxes", "cxcywh, pixels", "the export decodes boxes in the graph"),
            _found("head.scores", "activation none", "the graph applies the sigmoid"),
            _found("contract.preset", "ultralytics.detect", "the head is Ultralytics' own"),
        ),
    )


def _yolox(facts: ModelFacts) -> HeadGuess | None:
    """[1, A, 5 + C]: each level joins regression, objectness and classes of one cell."""
    if len(facts.outputs) != 1:
        return None
    output = facts.outputs[0]
    shape, leaves = output.shape, output.leaves
    if len(shape) != 3 or shape[2] < 6 or not _fits_cells(shape[1], facts.size):
        return None
    classes = shape[2] - 5
    if len(leaves) != 3 * len(STRIDES) or any(leaf.op != "Conv" for leaf in leaves[::3]):
        return None
    if [leaf.width for leaf in leaves] != [4, 1, classes] * len(STRIDES):
        return None
    ends = {leaf.op for index, leaf in enumerate(leaves) if index % 3}
    if ends not in ({"Sigmoid"}, {"Conv"}):
        return None
    activation: Activation = "none" if ends == {"Sigmoid"} else "sigmoid"
    head = Head(
        outputs=(
            _part(
                output, "boxes", ("anchor", "coord"), (0, 4), Box(format="cxcywh", units="stride")
            ),
            _part(output, "objectness", ("anchor", "coord"), (4, 5), None, activation),
            _part(output, "scores", ("anchor", "class"), (5, shape[2]), None, activation),
        ),
        anchors=GridAnchors(strides=STRIDES, offset=0.0),
    )
    return HeadGuess(
        task="detect", head=head, family="yolox", preset="yolox", findings=_yolox_findings(output)
    )


def _yolox_findings(output: OutputFacts) -> tuple[Finding, ...]:
    done = output.leaves[1].op == "Sigmoid"
    anchors, width = output.shape[1:]
    return (
        _found(
            "contract.task",
            "detect",
            f"[1, {anchors}, 5 + {width - 5}]: regression, objectness and classes of every cell "
            "of strides 8, 16, 32",
        ),
        _found(
            "head.boxes",
            "cxcywh, strides, grid",
            "the regression comes straight from a convolution: no Exp, no multiplication by the "
            "stride, so the grid decode is left to the app",
        ),
        _found(
            "head.scores",
            "activation none" if done else "activation sigmoid",
            "the graph applies the sigmoid to objectness and classes"
            if done
            else "objectness and classes come straight from convolutions",
        ),
        _found("contract.preset", "yolox", "the head is YOLOX's own"),
    )


def _boxes_and_scores(facts: ModelFacts) -> HeadGuess | None:
    """Two outputs: [1, A, 4] decoded corners and [1, A, C] probabilities with background."""
    if len(facts.outputs) != 2 or any(len(o.shape) != 3 for o in facts.outputs):
        return None
    soft = [o for o in facts.outputs if {leaf.op for leaf in o.leaves} <= set(_PROBABILITIES)]
    rest = [o for o in facts.outputs if o not in soft]
    if len(soft) != 1 or rest[0].shape[2] != 4 or rest[0].shape[1] != soft[0].shape[1]:
        return None
    boxes, scores = rest[0], soft[0]
    if not boxes.exponential or {leaf.op for leaf in boxes.leaves} != {"Sub", "Add"}:
        return None
    fraction = (boxes.largest_constant or 0.0) <= _FRACTION_LIMIT
    box = Box(format="xyxy", units="fraction" if fraction else "pixels")
    head = Head(
        outputs=(
            _part(scores, "scores", ("anchor", "class"), None),
            _part(boxes, "boxes", ("anchor", "coord"), None, box),
        )
    )
    return HeadGuess(
        task="detect", head=head, family="ssd", findings=_ssd_findings(boxes, scores, box)
    )


def _ssd_findings(boxes: OutputFacts, scores: OutputFacts, box: Box) -> tuple[Finding, ...]:
    classes, op = scores.shape[2], scores.leaves[0].op
    found = [
        _found(
            "contract.task",
            "detect",
            f"{boxes.spec.name} {list(boxes.shape)} beside {scores.spec.name} "
            f"{list(scores.shape)}: boxes and scores of the same anchors",
        ),
        _found(
            "head.boxes",
            f"xyxy, {box.units}",
            "the graph decodes with Exp and joins centre - half and centre + half; its largest "
            f"constant is {boxes.largest_constant or 0:g}",
        ),
        _found("head.scores", "activation none", f"the graph applies {op}"),
    ]
    if op == "Softmax":
        found.append(
            _found(
                "contract.labels",
                f"{classes} with background first",
                "softmax over the classes of an anchor includes the background; the names of "
                "the others are not in the file",
            )
        )
    return tuple(found)


def _raw(facts: ModelFacts) -> HeadGuess:
    outputs = tuple(
        OutputBinding(tensor=o.spec.name, role="raw", shape=o.shape, dtype=o.spec.dtype)
        for o in facts.outputs
    )
    reason = "NMS is inside the graph" if facts.nms_inside else "the outputs fit no known head"
    return HeadGuess(
        task="raw",
        head=Head(outputs=outputs, nms_in_file=facts.nms_inside),
        findings=(_found("contract.task", "raw", reason),),
    )


def _part(
    output: OutputFacts,
    role: Literal["boxes", "scores", "objectness"],
    axes: tuple[Axis, ...],
    part: tuple[int, int] | None,
    box: Box | None = None,
    activation: Activation = "none",
) -> OutputBinding:
    return OutputBinding(
        tensor=output.spec.name,
        role=role,
        shape=output.shape,
        axes=axes,
        slice=part,
        box=box,
        activation=activation,
    )


def _fits_cells(anchors: int, size: Size | None) -> bool:
    """Whether there is one anchor a cell of `STRIDES`; an open size fits any number."""
    if anchors < 0 or size is None:
        return True
    return anchors == sum((size[0] // stride) * (size[1] // stride) for stride in STRIDES)


def _found(key: str, value: str, reason: str) -> Finding:
    return Finding(key=key, value=value, reason=reason)


_RECOGNISERS: tuple[Callable[[ModelFacts], HeadGuess | None], ...] = (
    _ultralytics,
    _yolox,
    _boxes_and_scores,
    _classifier,
)
