"""Boxes relative to SSD priors, against straightforward double-precision code."""

from __future__ import annotations

import base64
import math

import numpy as np
import pytest

from phoneproof.core.binding import Box, PriorAnchors
from phoneproof.core.errors import InvalidInput
from phoneproof.decode.anchors import to_xyxy
from phoneproof.decode.priors import pack_priors, prior_rows

SIZE = (240, 320)
RNG = np.random.default_rng(11)
PRIORS = np.column_stack([RNG.uniform(0, 1, (12, 2)), RNG.uniform(0.05, 0.6, (12, 2))])
VALUES = RNG.normal(0, 1, (12, 4)).astype(np.float32)
VARIANCES = (0.1, 0.1, 0.2, 0.2)
SSD = Box(format="ssd", units="fraction", variances=VARIANCES)


def expected(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    priors: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = PRIORS,
) -> list[list[float]]:
    """One box after the other, in double precision: tx, ty, tw, th and variances .1, .2."""
    height, width = SIZE
    boxes = []
    for (tx, ty, tw, th), (cx, cy, w, h) in zip(values.tolist(), priors.tolist(), strict=True):
        x, y = cx + 0.1 * tx * w, cy + 0.1 * ty * h
        half_w, half_h = 0.5 * w * math.exp(0.2 * tw), 0.5 * h * math.exp(0.2 * th)
        boxes.append(
            [
                (x - half_w) * width,
                (y - half_h) * height,
                (x + half_w) * width,
                (y + half_h) * height,
            ]
        )
    return boxes


def test_priors_are_decoded() -> None:
    boxes = to_xyxy(VALUES, SSD, pack_priors(PRIORS), SIZE)
    assert boxes.dtype == np.float32
    np.testing.assert_allclose(boxes, expected(VALUES), atol=2e-4)


def test_vertical_first_is_the_same_with_its_order_said() -> None:
    """TFLite's box encodings are ty, tx, th, tw; variances stay those of x, y, w, h."""
    turned = np.ascontiguousarray(VALUES[:, [1, 0, 3, 2]])
    box = Box(format="ssd", units="fraction", variances=VARIANCES, order="yx")
    anchors = pack_priors(PRIORS)
    plain = to_xyxy(VALUES, SSD, anchors, SIZE)
    np.testing.assert_array_equal(to_xyxy(turned, box, anchors, SIZE), plain)


@pytest.mark.parametrize(
    "wrong",
    [
        Box(format="ssd", units="fraction", variances=(0.2, 0.2, 0.1, 0.1)),
        Box(format="ssd", units="fraction", variances=VARIANCES, order="yx"),
        Box(format="ssd", units="fraction"),
        Box(format="ssd", units="pixels", variances=VARIANCES),
    ],
    ids=["swapped variances", "swapped order", "no variances", "other units"],
)
def test_another_meaning_gives_other_boxes(wrong: Box) -> None:
    boxes = to_xyxy(VALUES, wrong, pack_priors(PRIORS), SIZE)
    assert np.abs(boxes - expected(VALUES)).max() > 1


def test_priors_in_another_order_give_other_boxes() -> None:
    boxes = to_xyxy(VALUES, SSD, pack_priors(PRIORS[::-1]), SIZE)
    assert np.abs(boxes - expected(VALUES)).max() > 1


def test_priors_may_be_in_pixels() -> None:
    sides = np.array([320, 240, 320, 240])
    box = Box(format="ssd", units="pixels", variances=VARIANCES)
    boxes = to_xyxy(VALUES, box, pack_priors(PRIORS * sides), SIZE)
    np.testing.assert_allclose(boxes, expected(VALUES), atol=2e-4)


def test_packed_priors_are_the_same_bits() -> None:
    packed = pack_priors(PRIORS)
    assert packed.count == 12
    rows = prior_rows(packed)
    np.testing.assert_array_equal(rows, PRIORS.astype(np.float32))
    assert not rows.flags.writeable


@pytest.mark.parametrize(
    ("count", "data", "found"),
    [
        (2, base64.b64encode(bytes(16)).decode(), "16 bytes for 2 rows"),
        (1, base64.b64encode(bytes(17)).decode(), "17 bytes for 1 rows"),
        (0, "", "0 bytes for 0 rows"),
        (-1, "", "rows"),
        (1, "AAAA*AAA", "not base64"),
        (1, "prior\u00e9s", "not base64"),
        (1, base64.b64encode(b"\0\0\xc0\x7f" * 4).decode(), "NaN"),
    ],
)
def test_damaged_priors_are_refused(count: int, data: str, found: str) -> None:
    anchors = PriorAnchors(count=count, data=data)
    with pytest.raises(InvalidInput, match="damaged") as caught:
        to_xyxy(VALUES[:1], SSD, anchors, SIZE)
    assert found in caught.value.found


def test_another_number_of_boxes_than_priors_is_refused() -> None:
    with pytest.raises(InvalidInput, match="number of boxes"):
        to_xyxy(VALUES[:11], SSD, pack_priors(PRIORS), SIZE)


@pytest.mark.parametrize("shape", [(0, 4), (3, 5), (4,), (2, 2, 4)])
def test_priors_of_another_shape_are_not_packed(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="rows of cx"):
        pack_priors(np.zeros(shape))


def test_infinite_priors_are_not_packed() -> None:
    with pytest.raises(InvalidInput, match="finite"):
        pack_priors(np.array([[0.5, 0.5, 1e39, 1]]))


@pytest.mark.parametrize(
    ("box", "has_priors"),
    [
        (Box(format="xyxy", units="fraction"), True),
        (Box(format="ssd", units="stride"), True),
        (Box(format="ssd", units="fraction"), False),
        (Box(format="xyxy", order="yx"), False),
        (Box(format="cxcywh", variances=VARIANCES), False),
    ],
)
def test_pairs_without_a_meaning_are_refused(box: Box, has_priors: bool) -> None:
    anchors = pack_priors(PRIORS) if has_priors else None
    with pytest.raises(InvalidInput, match="no meaning"):
        to_xyxy(VALUES, box, anchors, SIZE)
