"""YOLOv8 and YOLO11: one tensor of coordinates and scores, or the raw levels."""

from __future__ import annotations

from typing import Final

from phoneproof.capture.heads.coordinates import coordinates
from phoneproof.capture.heads.facts import HeadGuess, Leaf, ModelFacts, OutputFacts, found, part
from phoneproof.capture.heads.grids import fits_cells
from phoneproof.capture.heads.level_grids import Level, ordered_levels
from phoneproof.core.binding import Activation, Box, GridAnchors, OutputBinding
from phoneproof.core.capture import Finding, Head

BINS: Final = 16
"""reg_max of YOLOv8 .. YOLO11; others (NanoDet 8, GFL 17) begin their cells elsewhere."""
_DISTANCES: Final = Box(format="ltrb", units="stride")
_LEFT: Final[dict[str, Activation]] = {"Sigmoid": "none", "Conv": "sigmoid"}
"""What is left to apply to scores that end in an operator."""


def ultralytics(facts: ModelFacts) -> HeadGuess | None:
    """[1, 4 + C, A]: four decoded coordinates above C sigmoid scores."""
    if len(facts.outputs) != 1 or facts.ultralytics_task not in ("", "detect"):
        return None
    output = facts.outputs[0]
    shape, leaves = output.shape, output.leaves
    if len(shape) != 3 or shape[1] < 5 or not fits_cells(shape[2], facts.size):
        return None
    if len(leaves) < 2 or leaves[-1].op != "Sigmoid" or leaves[-1].width != shape[1] - 4:
        return None
    described = _coordinates(leaves[:-1], output)
    if described is None:
        return None
    box, reason = described
    boxes = part(output, "boxes", ("coord", "anchor"), (0, 4), box=box)
    scores = part(output, "scores", ("class", "anchor"), (4, shape[1]))
    return HeadGuess(
        task="detect",
        head=Head(outputs=(boxes, scores)),
        family="ultralytics",
        preset="ultralytics.detect",
        findings=_findings(output, box, reason),
    )


def _coordinates(leaves: tuple[Leaf, ...], output: OutputFacts) -> tuple[Box, str] | None:
    """What the graph says, else Ultralytics' own habit."""
    if any(leaf.op == "Conv" for leaf in leaves) or sum(leaf.width or 0 for leaf in leaves) != 4:
        return None
    described = coordinates(leaves, output)
    if described is not None:
        return described
    if len(leaves) != 1:
        return None
    return Box(format="cxcywh"), "the export decodes boxes in the graph"


def _findings(output: OutputFacts, box: Box, reason: str) -> tuple[Finding, ...]:
    task = (
        f"[1, 4 + {output.shape[1] - 4}, anchors]: four decoded coordinates joined to sigmoid "
        "scores, one anchor a cell of strides 8, 16, 32"
    )
    return (
        found("contract.task", "detect", task),
        found("head.boxes", f"{box.format}, {box.units}", reason),
        found("head.scores", "activation none", "the graph applies the sigmoid"),
        found("contract.preset", "ultralytics.detect", "the head is Ultralytics' own"),
    )


def ultralytics_levels(facts: ModelFacts) -> HeadGuess | None:
    """Each level [1, 64 + C, ny, nx], or [1, 64, ny, nx] beside [1, C, ny, nx]; NHWC too."""
    levels = ordered_levels(facts)
    if levels is None:
        return None
    parts: list[OutputBinding] = []
    for place, level in enumerate(levels):
        bound = _joined(level, place) or _apart(level, place)
        if bound is None:
            return None
        parts += bound
    scores = [p for p in parts if p.role == "scores"]
    if len({_width(p) for p in scores}) != 1 or len({p.activation for p in scores}) != 1:
        return None
    strides = tuple(level.stride for level in levels)
    return HeadGuess(
        task="detect",
        head=Head(outputs=tuple(parts), anchors=GridAnchors(strides=strides, offset=0.5)),
        family="ultralytics",
        preset="ultralytics.detect",
        findings=_level_findings(strides, scores[0]),
    )


def _joined(level: Level, place: int) -> list[OutputBinding] | None:
    if len(level.outputs) != 1:
        return None
    output = level.outputs[0]
    axes = level.axes_of(output, "channel")
    widths, distances = output.widths, 4 * BINS
    if axes is None or len(widths) != 2 or widths[0] != distances or output.ops[0] != "Conv":
        return None
    activation = _LEFT.get(output.ops[1])
    if activation is None:
        return None
    end = distances + (widths[1] or 0)
    return [
        part(output, "dfl", axes, (0, distances), box=_DISTANCES, level=place),
        part(output, "scores", axes, (distances, end), activation=activation, level=place),
    ]


def _apart(level: Level, place: int) -> list[OutputBinding] | None:
    if len(level.outputs) != 2:
        return None
    dfl = [o for o in level.outputs if level.channels(o) == 4 * BINS and o.ops == ("Conv",)]
    if len(dfl) != 1:
        return None
    scores = next(o for o in level.outputs if o is not dfl[0])
    activation = _LEFT.get(scores.ops[0]) if len(scores.ops) == 1 else None
    axes = level.axes_of(dfl[0], "channel"), level.axes_of(scores, "class")
    if activation is None or axes[0] is None or axes[1] is None:
        return None
    return [
        part(dfl[0], "dfl", axes[0], box=_DISTANCES, level=place),
        part(scores, "scores", axes[1], activation=activation, level=place),
    ]


def _width(scores: OutputBinding) -> int:
    if scores.slice is not None:
        return scores.slice[1] - scores.slice[0]
    return scores.shape[1 + scores.axes.index("class")]


def _level_findings(strides: tuple[int, ...], scores: OutputBinding) -> tuple[Finding, ...]:
    shown = ", ".join(map(str, strides))
    return (
        found(
            "contract.task",
            "detect",
            f"levels of strides {shown}: 4 x {BINS} distance logits and {_width(scores)} scores "
            "a cell, straight from convolutions",
        ),
        found(
            "head.boxes",
            "dfl, ltrb, strides, grid",
            f"{4 * BINS} channels are four distributions over {BINS} bins; the app decodes them",
        ),
        found("head.scores", f"activation {scores.activation}", "how the graph ends"),
        found("contract.preset", "ultralytics.detect", "the head is Ultralytics' own"),
    )
