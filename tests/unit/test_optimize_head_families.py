"""What the shapes of last layers allow them to mean, and the proof that picks the true meaning."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from phoneproof.core.binding import (
    Anchors,
    Axis,
    Binding,
    Box,
    GridAnchors,
    InputBinding,
    OutputBinding,
    Role,
    YoloAnchors,
)
from phoneproof.core.contract import Contract, Decode
from phoneproof.core.presets import preset_input
from phoneproof.decode.heads import Heads, canonical_heads
from phoneproof.decode.results import Float
from phoneproof.optimize.backends.head_families import HeadProposal, LastLayer, head_proposals
from phoneproof.optimize.backends.head_proof import Probe, difference, proved

SIZE = (64, 96)
STRIDES = (8, 16)
CLASSES = 3
WH = (((10.0, 13.5), (16.25, 30.0)), ((30.0, 61.0), (62.0, 45.125)))
LTRB = Box(format="ltrb", units="stride")
Cut = tuple[Role, int, int]
RNG = np.random.default_rng(5)

CONTRACT = Contract(
    name="c",
    task="detect",
    inputs=(preset_input("yolox", SIZE),),
    labels=("a", "b", "c"),
    decode=Decode(),
)


def bind(outputs: tuple[OutputBinding, ...], anchors: Anchors | None) -> Binding:
    image = InputBinding(tensor="image", shape=(1, 3, *SIZE), layout="NCHW")
    return Binding(contract="", format="hub", inputs=(image,), outputs=outputs, anchors=anchors)


class Head:
    """Layers of known meaning; what a program decoded from them is taken from our own decode,
    which has tests of its own, and described as one tensor of boxes and scores.
    """

    def __init__(self, truth: Binding) -> None:
        self.truth = truth
        self.layers = [
            LastLayer(name=name, shape=next(o.shape for o in truth.outputs if o.tensor == name))
            for name in truth.tensors
        ]
        rows = len(self.decoded(np.zeros).boxes)
        parts = (
            OutputBinding(
                tensor="decoded",
                role="boxes",
                shape=(1, rows, 4 + CLASSES),
                axes=("anchor", "coord"),
                slice=(0, 4),
                box=Box(format="xyxy"),
            ),
            OutputBinding(
                tensor="decoded",
                role="scores",
                shape=(1, rows, 4 + CLASSES),
                axes=("anchor", "class"),
                slice=(4, 4 + CLASSES),
            ),
        )
        self.binding = bind(parts, None)

    def values(self, fill: Callable[[tuple[int, ...]], Float]) -> dict[str, Float]:
        return {layer.name: fill(layer.shape).astype(np.float32) for layer in self.layers}

    def decoded(self, fill: Callable[[tuple[int, ...]], Float]) -> Heads:
        return canonical_heads(self.values(fill), CONTRACT, self.truth)

    def probe(self) -> Probe:
        tensors = self.values(lambda shape: RNG.normal(size=shape).astype(np.float32))
        return Probe(tensors=tensors, expected=(canonical_heads(tensors, CONTRACT, self.truth),))

    def proposals(self) -> list[HeadProposal]:
        return list(head_proposals(self.layers, self.binding, self.decoded(np.zeros).boxes))

    def accepts(self, proposal: HeadProposal) -> bool:
        described = msgspec.structs.replace(
            self.binding, outputs=proposal.outputs, anchors=proposal.anchors
        )
        return proved(described, CONTRACT, (self.probe(), self.probe())) is not None


def levels(*layers: tuple[Cut, ...], packed: int = 1, box: Box) -> tuple[OutputBinding, ...]:
    """Each layer of each level holds its cuts one after the other."""
    found = []
    for level, stride in enumerate(STRIDES):
        grid = (SIZE[0] // stride, SIZE[1] // stride)
        for place, cuts in enumerate(layers):
            channels = packed * max(end for _, _, end in cuts)
            for role, first, end in cuts:
                is_box = role in ("boxes", "dfl")
                yolo = packed > 1 and is_box
                axes: tuple[Axis, ...] = ("channel", "y", "x")
                found.append(
                    OutputBinding(
                        tensor=f"l{level}_{place}",
                        role=role,
                        shape=(1, channels, *grid),
                        axes=axes,
                        level=level,
                        slice=(first, end),
                        packed=packed,
                        activation="sigmoid" if yolo or not is_box else "none",
                        box=box if is_box else None,
                    )
                )
    return tuple(found)


GRID = GridAnchors(strides=STRIDES)
CORNER = GridAnchors(strides=STRIDES, offset=0.0)
CENTRED = Box(format="cxcywh", units="stride")
SHAPES = YoloAnchors(strides=STRIDES, wh=WH)

TRUTHS = {
    "distributions, apart": bind(levels((("scores", 0, 3),), (("dfl", 0, 32),), box=LTRB), GRID),
    "distributions, together": bind(levels((("dfl", 0, 64), ("scores", 64, 67)), box=LTRB), GRID),
    "distances": bind(levels((("boxes", 0, 4),), (("scores", 0, 3),), box=LTRB), GRID),
    "centres and sides": bind(
        levels((("scores", 0, 3),), (("boxes", 0, 4),), (("objectness", 0, 1),), box=CENTRED),
        CORNER,
    ),
    "anchor shapes": bind(
        levels(
            (("boxes", 0, 4), ("objectness", 4, 5), ("scores", 5, 8)),
            packed=2,
            box=Box(format="cxcywh"),
        ),
        SHAPES,
    ),
    "anchor shapes with landmarks": bind(
        levels(
            (("boxes", 0, 4), ("objectness", 4, 5), ("scores", 15, 18)),
            packed=2,
            box=Box(format="cxcywh"),
        ),
        SHAPES,
    ),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_the_true_meaning_is_among_the_proposals_and_the_only_one_proved(name: str) -> None:
    head = Head(TRUTHS[name])
    accepted = [proposal for proposal in head.proposals() if head.accepts(proposal)]
    assert accepted
    assert accepted[0].family.split()[0] == name.split()[0].rstrip(",")
    described = {(o.role, o.tensor, o.slice or _whole(o)) for o in accepted[0].outputs}
    assert described == {(o.role, o.tensor, o.slice) for o in head.truth.outputs}
    assert accepted[0].anchors == head.truth.anchors
    assert len(accepted) == 1


def _whole(output: OutputBinding) -> tuple[int, int]:
    return 0, output.shape[1] // output.packed


def first_accepted(head: Head) -> HeadProposal:
    return next(proposal for proposal in head.proposals() if head.accepts(proposal))


def test_a_wrong_stride_is_not_accepted() -> None:
    head = Head(TRUTHS["distances"])
    proposal = first_accepted(head)
    for strides in ((16, 8), (8, 32), (9, 17)):
        wrong = GridAnchors(strides=strides)
        changed = HeadProposal(family="", outputs=proposal.outputs, anchors=wrong)
        assert not head.accepts(changed)


def test_swapped_levels_are_not_accepted() -> None:
    head = Head(TRUTHS["centres and sides"])
    proposal = first_accepted(head)
    swapped = tuple(
        msgspec.structs.replace(output, level=1 - (output.level or 0))
        for output in proposal.outputs
    )
    changed = HeadProposal(family="", outputs=swapped, anchors=proposal.anchors)
    assert not head.accepts(changed)


def test_anchor_shapes_of_another_model_are_not_accepted() -> None:
    head = Head(TRUTHS["anchor shapes"])
    proposal = first_accepted(head)
    shifted = tuple(tuple((w + 0.01, h) for w, h in level) for level in WH)
    changed = HeadProposal(
        family="", outputs=proposal.outputs, anchors=YoloAnchors(strides=STRIDES, wh=shifted)
    )
    assert not head.accepts(changed)


def test_layers_of_no_grid_are_proposed_nothing() -> None:
    head = Head(TRUTHS["distances"])
    odd = [
        LastLayer(name=layer.name, shape=(*layer.shape[:2], 5, layer.shape[3]))
        for layer in head.layers
    ]
    assert list(head_proposals(odd, head.binding, head.decoded(np.zeros).boxes)) == []
    assert list(head_proposals([], head.binding, head.decoded(np.zeros).boxes)) == []


def test_values_that_are_not_finite_are_equal_to_nothing() -> None:
    boxes, scores = np.ones((2, 4), np.float32), np.ones((2, 3), np.float32)
    same = Heads(boxes=boxes, scores=scores)
    assert difference(same, same).accepted
    broken = Heads(boxes=np.full_like(boxes, np.nan), scores=scores)
    assert not difference(broken, broken).accepted
    assert not difference(same, Heads(boxes=boxes[:1], scores=scores[:1])).accepted


@pytest.mark.parametrize(("shift", "accepted"), [(5e-4, True), (2e-3, False)])
def test_boxes_may_move_by_a_thousandth_of_a_pixel(shift: float, accepted: bool) -> None:
    boxes, scores = np.ones((2, 4), np.float32), np.ones((2, 3), np.float32)
    moved = Heads(boxes=boxes + np.float32(shift), scores=scores)
    assert difference(moved, Heads(boxes=boxes, scores=scores)).accepted is accepted


@pytest.mark.parametrize(("factor", "accepted"), [(1 + 5e-5, True), (1 + 3e-4, False)])
def test_scores_may_move_by_a_ten_thousandth(factor: float, accepted: bool) -> None:
    boxes, scores = np.ones((2, 4), np.float32), np.full((2, 3), 0.01, np.float32)
    moved = Heads(boxes=boxes, scores=scores * np.float32(factor))
    assert difference(moved, Heads(boxes=boxes, scores=scores)).accepted is accepted
