"""YOLOv5 and YOLOv7: decoded exports, and raw levels, whose anchors no file holds."""

from __future__ import annotations

from typing import Final

from phoneproof.capture.heads.coordinates import units_of
from phoneproof.capture.heads.facts import HeadGuess, ModelFacts, found, part
from phoneproof.capture.heads.grids import STRIDES, fits_cells, stride_of
from phoneproof.core.binding import Box
from phoneproof.core.capture import Finding, Head

_SHAPES: Final = 3
"""Anchor shapes a cell."""
_ARITHMETIC: Final = frozenset({"Add", "Mul", "Div"})
"""How a decoded centre or side ends: shifted, scaled, divided by the image's side."""


def yolov5(facts: ModelFacts) -> HeadGuess | None:
    """[1, A, 5 + C]: sigmoid and decode in the graph, three anchors a cell."""
    if len(facts.outputs) != 1 or facts.ultralytics_task not in ("", "detect"):
        return None
    output = facts.outputs[0]
    shape, leaves = output.shape, output.leaves
    if len(shape) != 3 or shape[2] < 6 or not fits_cells(shape[1], facts.size, _SHAPES):
        return None
    if output.widths != (2, 2, shape[2] - 4) * len(STRIDES) or output.exponential:
        return None
    if {leaf.op for leaf in leaves[2::3]} != {"Sigmoid"}:
        return None
    boxes = [leaf for place, leaf in enumerate(leaves) if place % 3 < 2]
    if not {leaf.op for leaf in boxes} <= _ARITHMETIC:
        return None
    units, why = units_of(boxes[0].steps, output)
    box = Box(format="cxcywh", units=units)
    head = Head(
        outputs=(
            part(output, "boxes", ("anchor", "coord"), (0, 4), box=box),
            part(output, "objectness", ("anchor", "coord"), (4, 5)),
            part(output, "scores", ("anchor", "class"), (5, shape[2])),
        )
    )
    task = (
        f"[1, {shape[1]}, 5 + {shape[2] - 5}]: centre, sides, objectness and classes of three "
        "anchors a cell of strides 8, 16, 32"
    )
    findings = (
        found("contract.task", "detect", task),
        found("head.boxes", f"cxcywh, {units}", f"sigmoid and decode are in the graph; {why}"),
        found("head.scores", "activation none", "the graph applies the sigmoid"),
        found("contract.preset", "yolov5", "YOLOv5 letterboxes like Ultralytics"),
    )
    return HeadGuess(
        task="detect",
        head=head,
        family="yolov5",
        preset="yolov5",
        findings=findings,
    )


def raw_yolov5_levels(facts: ModelFacts) -> Finding | None:
    """Levels [1, 3, ny, nx, 5 + C] or [1, 3 * (5 + C), ny, nx]: what a user has to add."""
    if facts.size is None or len(facts.outputs) < 2:
        return None
    widths, strides = set(), []
    for output in facts.outputs:
        shape = output.shape
        if len(shape) == 5 and shape[1] == _SHAPES:
            width, grid = shape[4], (shape[2], shape[3])
        elif len(shape) == 4 and shape[1] % _SHAPES == 0:
            width, grid = shape[1] // _SHAPES, (shape[2], shape[3])
        else:
            return None
        stride = stride_of(grid, facts.size)
        if set(output.ops) - {"Conv", "Sigmoid"} or width < 6 or stride is None:
            return None
        widths.add(width)
        strides.append(stride)
    if len(widths) != 1 or len(set(strides)) != len(strides):
        return None
    shown = ", ".join(map(str, sorted(strides)))
    return found(
        "head.anchors",
        "unknown",
        f"levels of strides {shown} with three anchors a cell and 5 + {widths.pop() - 5} values "
        "look like YOLOv5, YOLOv7 or YOLOv3; their anchor shapes are not in the file: describe "
        "the head under [head] with anchors, or export the decoded model",
    )
