"""Outputs that one int8 scale cannot hold."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from phoneproof.core.binding import (
    Anchors,
    Binding,
    Box,
    GridAnchors,
    InputBinding,
    OutputBinding,
    YoloAnchors,
)
from phoneproof.core.errors import InvalidInput
from phoneproof.core.recipe import MethodRanges, Ranges, TensorRange
from phoneproof.decode.priors import pack_priors
from phoneproof.optimize.mixed_outputs import BOX_STEP, SCORE_STEP, MixedOutput, mixed_outputs

SIDE = 640


def bind(*outputs: OutputBinding, anchors: Anchors | None = None) -> Binding:
    image = InputBinding(tensor="image", shape=(1, 3, SIDE, SIDE), layout="NCHW")
    return Binding(contract="", format="tflite", inputs=(image,), outputs=outputs, anchors=anchors)


def ranged(**bounds: tuple[float, float]) -> Ranges:
    tensors = tuple(TensorRange(tensor=n, low=lo, high=hi) for n, (lo, hi) in bounds.items())
    return Ranges(artifact="", methods=(MethodRanges(method="min_max", ranges=tensors),))


BOXES = OutputBinding(
    tensor="out",
    role="boxes",
    shape=(1, 84, 8400),
    axes=("coord", "anchor"),
    slice=(0, 4),
    box=Box(format="cxcywh"),
)
SCORES = OutputBinding(
    tensor="out", role="scores", shape=(1, 84, 8400), axes=("class", "anchor"), slice=(4, 84)
)


def only(found: tuple[MixedOutput, ...]) -> MixedOutput:
    (mixed,) = found
    return mixed


def test_boxes_in_pixels_and_scores_do_not_share_a_scale() -> None:
    mixed = only(mixed_outputs(bind(BOXES, SCORES), ranged(out=(-12.75, 637.5))))
    assert mixed.tensor == "out"
    assert mixed.step == pytest.approx(2.55)
    boxes, scores = mixed.roles
    assert (boxes.role, boxes.needed, boxes.unit) == ("boxes", SIDE * BOX_STEP, "pixels")
    assert (scores.role, scores.needed, scores.unit) == ("scores", SCORE_STEP, "probability")
    assert boxes.step == scores.step == mixed.step
    assert not boxes.enough
    assert not scores.enough
    said = str(mixed)
    assert "boxes and scores on one scale from -12.75 to 637.5" in said
    assert "scores move in steps of 2.5 probability (needed: 0.0078)" in said


def test_outputs_of_their_own_are_not_mixed() -> None:
    boxes = msgspec.structs.replace(BOXES, tensor="boxes", slice=None)
    scores = msgspec.structs.replace(SCORES, tensor="scores", slice=None)
    found = mixed_outputs(bind(boxes, scores), ranged(boxes=(0, 640), scores=(0, 1)))
    assert found == ()


def test_a_shared_scale_that_is_fine_enough_is_not_mixed() -> None:
    objectness = msgspec.structs.replace(SCORES, role="objectness", slice=(0, 4))
    assert mixed_outputs(bind(objectness, SCORES), ranged(out=(0.0, 1.0))) == ()
    # The control: the same roles with a range that something else has widened.
    assert mixed_outputs(bind(objectness, SCORES), ranged(out=(0.0, 3.0))) != ()


def test_a_scale_reaches_to_zero() -> None:
    mixed = only(mixed_outputs(bind(BOXES, SCORES), ranged(out=(255.0, 510.0))))
    assert mixed.step == pytest.approx(2.0)


def test_a_sigmoid_needs_a_quarter() -> None:
    logits = msgspec.structs.replace(SCORES, activation="sigmoid")
    dfl = msgspec.structs.replace(BOXES, role="dfl", box=Box(format="ltrb", units="stride"))
    grid = GridAnchors(strides=(8, 16, 32))
    mixed = only(mixed_outputs(bind(dfl, logits, anchors=grid), ranged(out=(-20.4, 5.1))))
    steps = {role.role: role.step for role in mixed.roles}
    assert steps == {"dfl": pytest.approx(0.8), "scores": pytest.approx(0.025)}
    assert [role.role for role in mixed.roles if not role.enough] == ["scores"]
    assert mixed_outputs(bind(dfl, logits, anchors=grid), ranged(out=(-5.1, 2.55))) == ()


@pytest.mark.parametrize(
    ("box", "anchors", "pixels"),
    [
        (Box(format="xyxy", units="fraction"), None, 640.0),
        (Box(format="cxcywh", units="stride"), GridAnchors(strides=(8, 16, 32), offset=0.0), 32.0),
        (Box(format="ltrb", units="stride"), GridAnchors(strides=(8, 64)), 64.0),
        (Box(format="cxcywh"), YoloAnchors(strides=(8,), wh=(((10.0, 373.0),),)), 746.0),
        (
            Box(format="ssd", units="fraction", variances=(0.1, 0.1, 0.2, 0.2)),
            pack_priors(np.array([[0.5, 0.5, 0.1, 0.1]])),
            128.0,
        ),
    ],
)
def test_boxes_are_counted_in_pixels(box: Box, anchors: Anchors | None, pixels: float) -> None:
    boxes = msgspec.structs.replace(BOXES, box=box)
    mixed = only(mixed_outputs(bind(boxes, SCORES, anchors=anchors), ranged(out=(0.0, 25.5))))
    assert mixed.roles[0].step == pytest.approx(0.1 * pixels)


def test_tensors_without_a_range_are_left_out() -> None:
    assert mixed_outputs(bind(BOXES, SCORES), ranged(other=(0, 1))) == ()


def test_ranges_of_another_method() -> None:
    with pytest.raises(InvalidInput, match="no ranges by the method mse"):
        mixed_outputs(bind(BOXES, SCORES), ranged(out=(0, 1)), method="mse")


@pytest.mark.parametrize("bounds", [(float("nan"), 1.0), (0.0, float("inf")), (2.0, 1.0)])
def test_a_range_that_is_none(bounds: tuple[float, float]) -> None:
    with pytest.raises(InvalidInput, match="'out' is none"):
        mixed_outputs(bind(BOXES, SCORES), ranged(out=bounds))
