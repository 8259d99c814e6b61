"""End-to-end exports: the graph itself picks the best K boxes (YOLOv10, YOLO26)."""

from __future__ import annotations

from typing import Final

from phoneproof.capture.heads.coordinates import coordinates
from phoneproof.capture.heads.facts import HeadGuess, ModelFacts, found, part
from phoneproof.core.binding import Axis, Box
from phoneproof.core.capture import Head

_MOST: Final = 1000
"""Exports keep 100 to 300 boxes; a grid of anchors has thousands."""


def end_to_end(facts: ModelFacts) -> HeadGuess | None:
    """[1, K, 6]: four coordinates, then score and class, or class and score."""
    if len(facts.outputs) != 1 or facts.ultralytics_task not in ("", "detect"):
        return None
    output = facts.outputs[0]
    if len(output.shape) != 3 or output.shape[2] != 6 or not 0 < output.shape[1] <= _MOST:
        return None
    if output.widths[-2:] != (1, 1) or sum(width or 0 for width in output.widths) != 6:
        return None
    flags = tuple(leaf.integer for leaf in output.leaves[-2:])
    if flags not in ((False, True), (True, False)):
        return None
    described = coordinates(output.leaves[:-2], output)
    box, why = described or (Box(format="xyxy"), "final boxes are corners in pixels by custom")
    score, number = (4, 5) if flags[1] else (5, 4)
    axes: tuple[Axis, ...] = ("anchor", "channel")
    head = Head(
        outputs=(
            part(output, "boxes", axes, (0, 4), box=box),
            part(output, "scores", axes, (score, score + 1)),
            part(output, "classes", axes, (number, number + 1)),
        ),
        nms_in_file=True,
    )
    is_ultralytics = facts.ultralytics_task == "detect"
    task = f"[1, {output.shape[1]}, 6]: the graph picks the best boxes, so no NMS follows"
    columns = f"score in column {score}, class in column {number}"
    findings = [
        found("contract.task", "detect", task),
        found("head.boxes", f"{box.format}, {box.units}", why),
        found("head.scores", columns, "the class is cast from a whole number"),
    ]
    if is_ultralytics:
        reason = "the file says it is an Ultralytics export"
        findings.append(found("contract.preset", "ultralytics.detect", reason))
    return HeadGuess(
        task="detect",
        head=head,
        family="ultralytics" if is_ultralytics else "",
        preset="ultralytics.detect" if is_ultralytics else "",
        findings=tuple(findings),
    )
