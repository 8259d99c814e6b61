"""The first known head that fits; decided without running the model.

Everything recognised comes with its reason; what fits no known head stays ``raw``.
"""

from __future__ import annotations

from collections.abc import Callable

from phoneproof.capture.heads.classifier import classifier
from phoneproof.capture.heads.facts import HeadGuess, ModelFacts, found
from phoneproof.capture.heads.final import end_to_end
from phoneproof.capture.heads.pairs import boxes_and_scores, undecoded_ssd
from phoneproof.capture.heads.ultralytics import ultralytics, ultralytics_levels
from phoneproof.capture.heads.yolov5 import raw_yolov5_levels, yolov5
from phoneproof.capture.heads.yolox import yolox, yolox_levels
from phoneproof.core.binding import OutputBinding
from phoneproof.core.capture import Finding, Hazard, Head, Inspection
from phoneproof.core.contract import Task
from phoneproof.core.errors import Unsupported

_RECOGNISERS: tuple[Callable[[ModelFacts], HeadGuess | None], ...] = (
    end_to_end,
    ultralytics,
    yolox,
    yolov5,
    boxes_and_scores,
    ultralytics_levels,
    yolox_levels,
    classifier,
)
_INCOMPLETE: tuple[Callable[[ModelFacts], Finding | None], ...] = (
    undecoded_ssd,
    raw_yolov5_levels,
)
"""Heads that are known but for something the file does not hold."""


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
    missing = "".join(
        f". {finding.reason}"
        for finding in inspection.findings
        if finding.key.startswith("head.") and finding.value == "unknown"
    )
    return Unsupported(
        f"the outputs fit no {task} head that is known",
        found=f"{shapes}; recognised as {inspection.task or 'nothing'}{missing}",
        next_step="describe the head in the configuration ([head], see "
        "docs/how-to/describe-a-head.md), export the model without its post-processing (NMS), "
        'or use task = "raw" to verify the tensors alone',
    )


def suppressing(inspection: Inspection) -> Unsupported:
    """The error for a graph that suppresses boxes itself, with outputs of no fixed size."""
    shapes = "; ".join(f"{o.name} {list(o.shape)}" for o in inspection.outputs)
    return Unsupported(
        "the file has NMS inside, so its outputs have as many rows as there are objects",
        found=shapes,
        next_step="export without it: Ultralytics `yolo export model=best.pt format=onnx "
        "nms=False`, YOLOv5 `export.py --include onnx` without --nms or --end2end, others the "
        "network without its post-processing; the app does NMS, as the contract says",
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


def _raw(facts: ModelFacts) -> HeadGuess:
    outputs = tuple(
        OutputBinding(tensor=o.spec.name, role="raw", shape=o.shape, dtype=o.spec.dtype)
        for o in facts.outputs
    )
    reason = "NMS is inside the graph" if facts.nms_inside else "the outputs fit no known head"
    findings = [found("contract.task", "raw", reason)]
    if not facts.nms_inside:
        findings += [f for look in _INCOMPLETE if (f := look(facts)) is not None]
    return HeadGuess(
        task="raw",
        head=Head(outputs=outputs, nms_in_file=facts.nms_inside),
        findings=tuple(findings),
    )
