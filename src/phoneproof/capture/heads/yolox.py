"""YOLOX: regression, objectness and classes of every cell; joined, decoded or in levels."""

from __future__ import annotations

from phoneproof.capture.heads.facts import HeadGuess, Leaf, ModelFacts, OutputFacts, found, part
from phoneproof.capture.heads.grids import STRIDES, fits_cells
from phoneproof.capture.heads.level_grids import ordered_levels
from phoneproof.core.binding import Activation, Box, GridAnchors, OutputBinding
from phoneproof.core.capture import Finding, Head

_RAW = Box(format="cxcywh", units="stride")


def yolox(facts: ModelFacts) -> HeadGuess | None:
    """[1, A, 5 + C]: the raw regression, or boxes decoded in the graph."""
    if len(facts.outputs) != 1:
        return None
    output = facts.outputs[0]
    shape = output.shape
    if len(shape) != 3 or shape[2] < 6 or not fits_cells(shape[1], facts.size):
        return None
    activation = _cells(output.leaves, shape[2] - 5, len(STRIDES))
    is_decoded = activation is None and _is_decoded(output)
    if is_decoded:
        activation = _cells(output.leaves[2:], shape[2] - 5, len(STRIDES))
    if activation is None:
        return None
    box = Box(format="cxcywh") if is_decoded else _RAW
    head = Head(
        outputs=(
            part(output, "boxes", ("anchor", "coord"), (0, 4), box=box),
            part(output, "objectness", ("anchor", "coord"), (4, 5), activation=activation),
            part(output, "scores", ("anchor", "class"), (5, shape[2]), activation=activation),
        ),
        anchors=None if is_decoded else GridAnchors(strides=STRIDES, offset=0.0),
    )
    return _guess(head, _findings(shape, activation, is_decoded))


def yolox_levels(facts: ModelFacts) -> HeadGuess | None:
    """Each level [1, 5 + C, ny, nx] or [1, ny, nx, 5 + C]."""
    levels = ordered_levels(facts)
    if levels is None or any(len(level.outputs) != 1 for level in levels):
        return None
    parts: list[OutputBinding] = []
    kinds: set[tuple[int, Activation]] = set()
    for place, level in enumerate(levels):
        output = level.outputs[0]
        axes, classes = level.axes_of(output, "channel"), level.channels(output) - 5
        activation = _cells(output.leaves, classes, 1)
        if axes is None or classes < 1 or activation is None:
            return None
        kinds.add((classes, activation))
        end = 5 + classes
        parts += [
            part(output, "boxes", axes, (0, 4), box=_RAW, level=place),
            part(output, "objectness", axes, (4, 5), activation=activation, level=place),
            part(output, "scores", axes, (5, end), activation=activation, level=place),
        ]
    if len(kinds) != 1:
        return None
    strides = tuple(level.stride for level in levels)
    head = Head(outputs=tuple(parts), anchors=GridAnchors(strides=strides, offset=0.0))
    (classes, activation) = kinds.pop()
    return _guess(head, _findings((1, len(levels), 5 + classes), activation, False))


def _cells(leaves: tuple[Leaf, ...], classes: int, levels: int) -> Activation | None:
    """What is left to apply to the scores; None where the leaves are not cells of YOLOX."""
    if len(leaves) != 3 * levels or any(leaf.op != "Conv" for leaf in leaves[::3]):
        return None
    if [leaf.width for leaf in leaves] != [4, 1, classes] * levels:
        return None
    ends = {leaf.op for index, leaf in enumerate(leaves) if index % 3}
    if ends == {"Sigmoid"}:
        return "none"
    return "sigmoid" if ends == {"Conv"} else None


def _is_decoded(output: OutputFacts) -> bool:
    """Whether centre and sides, computed from the cells' regression, stand before the rest."""
    first = output.leaves[:2]
    return output.exponential and [(leaf.op, leaf.width) for leaf in first] == [("Mul", 2)] * 2


def _guess(head: Head, findings: tuple[Finding, ...]) -> HeadGuess:
    return HeadGuess(task="detect", head=head, family="yolox", preset="yolox", findings=findings)


def _findings(
    shape: tuple[int, ...], activation: Activation, is_decoded: bool
) -> tuple[Finding, ...]:
    anchors, width = shape[1:]
    boxes = (
        (
            "cxcywh, pixels",
            "the graph shifts centres by their cell, takes Exp of the sides and multiplies both "
            "by the stride",
        )
        if is_decoded
        else (
            "cxcywh, strides, grid",
            "the regression comes straight from a convolution: no Exp, no multiplication by the "
            "stride, so the grid decode is left to the app",
        )
    )
    return (
        found(
            "contract.task",
            "detect",
            f"[1, {anchors}, 5 + {width - 5}]: regression, objectness and classes of every cell "
            "of strides 8, 16, 32",
        ),
        found("head.boxes", *boxes),
        found(
            "head.scores",
            f"activation {activation}",
            "the graph applies the sigmoid to objectness and classes"
            if activation == "none"
            else "objectness and classes come straight from convolutions",
        ),
        found("contract.preset", "yolox", "the head is YOLOX's own"),
    )
