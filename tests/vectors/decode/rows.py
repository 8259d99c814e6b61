"""The rows of the table of anchors and box formats, in one tensor a role or in one for all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import Axis, Box, GridAnchors, PriorAnchors, Quant, YoloAnchors
from phoneproof.decode.priors import pack_priors
from phoneproof.decode.results import Float
from tests.vectors.decode.setup import LABELS, SIZE, Setup, Tensors, bind, detector, part, values

_AC: Final[tuple[Axis, ...]] = ("anchor", "coord")
_AK: Final[tuple[Axis, ...]] = ("anchor", "class")
_ANCHORS: Final = 60
_STRIDES: Final = (8, 16, 32)
_CELLS: Final = 126
"""Of 64 x 96 at strides 8, 16 and 32: 96 + 24 + 6."""


def setups() -> Iterator[Setup]:
    """Coordinates, grids, YOLOv5 anchors, priors, and how one tensor carries them."""
    yield from _coordinates()
    yield from _grids()
    yield from _priors()
    yield from _joined()
    yield from _quantised()


def centres(seed: int, count: int) -> Float:
    """float32 [count, 4] of cx, cy, w, h in pixels of the input: exact binary fractions."""
    height, width = SIZE
    raw = values(seed, (count, 4), 0, 1 / 256)
    return raw * np.array([width, height, 48, 40], np.float32) + np.array([0, 0, 4, 4], np.float32)


def corners(boxes: Float) -> Float:
    """cx, cy, w, h to x1, y1, x2, y2."""
    half = boxes[:, 2:] / np.float32(2)
    return np.hstack([boxes[:, :2] - half, boxes[:, :2] + half])


def probabilities(seed: int, *shape: int) -> Float:
    """float32 n / 256: many equal ones, all exact."""
    return values(seed, shape, 0, 1 / 256)


def logits(seed: int, *shape: int) -> Float:
    """float32, -12.5 to 3.4 in sixteenths: about one in twelve is over .9 after a sigmoid."""
    return values(seed, shape, -12.5, 1 / 16)


def _coordinates() -> Iterator[Setup]:
    height, width = SIZE
    boxes = centres(1, _ANCHORS)
    sides = np.array([width, height, width, height], np.float32)
    swapped = [1, 0, 3, 2]
    written: dict[str, tuple[Float, Box]] = {
        "xyxy-pixels": (corners(boxes), Box(format="xyxy")),
        "xyxy-fraction": (corners(boxes) / sides, Box(format="xyxy", units="fraction")),
        "yxyx-pixels": (corners(boxes)[:, swapped], Box(format="yxyx")),
        "yxyx-fraction": (
            (corners(boxes) / sides)[:, swapped],
            Box(format="yxyx", units="fraction"),
        ),
        "cxcywh-pixels": (boxes, Box(format="cxcywh")),
        "cxcywh-fraction": (boxes / sides, Box(format="cxcywh", units="fraction")),
        "cycxhw-pixels": (boxes[:, swapped], Box(format="cxcywh", order="yx")),
    }
    for number, (name, (rows, box)) in enumerate(written.items()):
        tensors: Tensors = {
            "boxes": rows[None],
            "scores": probabilities(50 + number, 1, _ANCHORS, len(LABELS)),
        }
        contract = detector()
        yield Setup(
            name=f"coordinates-{name}",
            comment="no anchors: the coordinates themselves",
            contract=contract,
            binding=bind(
                contract,
                part(tensors, "boxes", "boxes", _AC, box=box),
                part(tensors, "scores", "scores", _AK),
            ),
            tensors=tensors,
        )


def _grids() -> Iterator[Setup]:
    for number, (name, (boxes, box, anchors)) in enumerate(_grid_boxes().items()):
        count = boxes.shape[1]
        tensors: Tensors = {
            "boxes": boxes,
            "objectness": logits(60 + number, 1, count) + np.float32(4),
            "scores": logits(70 + number, 1, count, len(LABELS)) + np.float32(2),
        }
        contract = detector()
        yield Setup(
            name=f"grid-{name}",
            comment="all levels in one axis of anchors; objectness times score",
            contract=contract,
            binding=bind(
                contract,
                part(tensors, "boxes", "boxes", _AC, box=box),
                part(tensors, "objectness", "objectness", ("anchor",), activation="sigmoid"),
                part(tensors, "scores", "scores", _AK, activation="sigmoid"),
                anchors=anchors,
            ),
            tensors=tensors,
            flags=("exponentials",),
        )


def _grid_boxes() -> dict[str, tuple[Float, Box, GridAnchors | YoloAnchors]]:
    shapes = (
        ((10.0, 13.0), (30.0, 16.0)),
        ((20.0, 40.0), (48.0, 24.0)),
        ((60.0, 33.0), (64.0, 64.0)),
    )
    stride = Box(format="cxcywh", units="stride")
    return {
        "ltrb": (
            values(3, (1, _CELLS, 4), 0, 1 / 128),
            Box(format="ltrb", units="stride"),
            GridAnchors(strides=_STRIDES),
        ),
        "ltrb-yx": (
            values(4, (1, _CELLS, 4), 0, 1 / 128),
            Box(format="ltrb", units="stride", order="yx"),
            GridAnchors(strides=_STRIDES),
        ),
        "cxcywh": (
            values(5, (1, _CELLS, 4), -2, 1 / 64),
            stride,
            GridAnchors(strides=_STRIDES, offset=0.0),
        ),
        "cxcywh-offset": (
            values(6, (1, _CELLS, 4), -2, 1 / 64),
            stride,
            GridAnchors(strides=_STRIDES, offset=0.5),
        ),
        "yolo-anchor": (
            values(7, (1, 2 * _CELLS, 4), 0, 1 / 256),
            stride,
            YoloAnchors(strides=_STRIDES, wh=shapes),
        ),
    }


def _priors() -> Iterator[Setup]:
    boxes = centres(8, _ANCHORS)
    sides = np.array([SIZE[1], SIZE[0], SIZE[1], SIZE[0]], np.float32)
    fractions, pixels = pack_priors(boxes / sides), pack_priors(boxes)
    usual = (0.1, 0.1, 0.2, 0.2)
    uneven = (0.1, 0.2, 0.3, 0.15)
    listed: dict[str, tuple[Box, PriorAnchors]] = {
        "fraction": (Box(format="ssd", units="fraction", variances=usual), fractions),
        "fraction-yx": (
            Box(format="ssd", units="fraction", variances=uneven, order="yx"),
            fractions,
        ),
        "pixels": (Box(format="ssd", variances=usual), pixels),
        "no-variances": (Box(format="ssd", units="fraction"), fractions),
    }
    for number, (name, (box, anchors)) in enumerate(listed.items()):
        softmax = logits(90 + number, 1, _ANCHORS, 4)
        tensors: Tensors = {
            "boxes": values(80 + number, (1, _ANCHORS, 4), -2, 1 / 64),
            "scores": softmax,
        }
        contract = detector((None, *LABELS))
        yield Setup(
            name=f"priors-{name}",
            comment="softmax with a background that is never found",
            contract=contract,
            binding=bind(
                contract,
                part(tensors, "boxes", "boxes", _AC, box=box),
                part(tensors, "scores", "scores", _AK, activation="softmax"),
                anchors=anchors,
            ),
            tensors=tensors,
            flags=("exponentials", "null_label"),
        )


def _joined() -> Iterator[Setup]:
    """YOLOv8's one tensor [4 + C, A], and its transpose."""
    boxes, scores = centres(9, _ANCHORS), probabilities(99, _ANCHORS, len(LABELS))
    rows = np.hstack([boxes, scores])
    written: dict[str, tuple[Float, tuple[Axis, ...], tuple[Axis, ...]]] = {
        "coord-anchor": (rows.T[None], ("coord", "anchor"), ("class", "anchor")),
        "anchor-coord": (rows[None], _AC, _AK),
        "channel-y-x": (
            rows.T.reshape(1, -1, 6, 10),
            ("channel", "y", "x"),
            ("channel", "y", "x"),
        ),
        "x-channel-y": (
            rows.reshape(6, 10, -1).transpose(1, 2, 0)[None],
            ("x", "channel", "y"),
            ("x", "channel", "y"),
        ),
    }
    for name, (tensor, first, second) in written.items():
        tensors: Tensors = {"out": tensor}
        contract = detector()
        yield Setup(
            name=f"joined-{name}",
            comment="slices of one tensor; the results are the same in each of these",
            contract=contract,
            binding=bind(
                contract,
                part(tensors, "out", "boxes", first, cut=(0, 4), box=Box(format="cxcywh")),
                part(tensors, "out", "scores", second, cut=(4, 4 + len(LABELS))),
            ),
            tensors=tensors,
        )


def _quantised() -> Iterator[Setup]:
    boxes, scores = centres(12, _ANCHORS), probabilities(100, _ANCHORS, len(LABELS))
    quants: dict[str, tuple[Quant, Quant]] = {
        "int8": (Quant(scale=0.5, zero_point=-128), Quant(scale=1 / 256, zero_point=-128)),
        "uint8": (Quant(scale=0.47, zero_point=3), Quant(scale=0.0039, zero_point=0)),
        "int16": (Quant(scale=0.0031, zero_point=0), Quant(scale=3.1e-05, zero_point=0)),
    }
    for name, (of_boxes, of_scores) in quants.items():
        tensors: Tensors = {
            "boxes": _whole(boxes, of_boxes, name)[None],
            "scores": _whole(scores, of_scores, name)[None],
        }
        yield _plain(f"quantised-{name}", tensors, (of_boxes, of_scores))
    yield _quantised_joined(boxes, scores)
    yield _plain(
        "float16",
        {"boxes": boxes[None].astype(np.float16), "scores": scores[None].astype(np.float16)},
        (None, None),
    )


def _quantised_joined(boxes: Float, scores: Float) -> Setup:
    sides = np.array([SIZE[1], SIZE[0], SIZE[1], SIZE[0]], np.float32)
    joined = Quant(scale=1 / 256, zero_point=-128)
    tensors: Tensors = {"out": _whole(np.hstack([boxes / sides, scores]).T, joined, "int8")[None]}
    contract = detector()
    return Setup(
        name="quantised-joined",
        comment="one scale for boxes in fractions and for scores",
        contract=contract,
        binding=bind(
            contract,
            part(
                tensors,
                "out",
                "boxes",
                ("coord", "anchor"),
                cut=(0, 4),
                box=Box(format="cxcywh", units="fraction"),
                quant=joined,
            ),
            part(tensors, "out", "scores", ("class", "anchor"), cut=(4, 7), quant=joined),
        ),
        tensors=tensors,
        flags=("quantised",),
    )


def _plain(name: str, tensors: Tensors, quants: tuple[Quant | None, Quant | None]) -> Setup:
    contract = detector()
    boxes = part(tensors, "boxes", "boxes", _AC, box=Box(format="cxcywh"), quant=quants[0])
    return Setup(
        name=name,
        comment=f"outputs of dtype {boxes.dtype}",
        contract=contract,
        binding=bind(contract, boxes, part(tensors, "scores", "scores", _AK, quant=quants[1])),
        tensors=tensors,
        flags=() if quants[0] is None else ("quantised",),
    )


def _whole(real: Float, quant: Quant, dtype: str) -> NDArray[Any]:
    """Rounded to the whole numbers of a quantised output."""
    limits = np.iinfo(dtype)
    steps = np.rint(real.astype(np.float64) / quant.scale) + quant.zero_point
    return np.clip(steps, limits.min, limits.max).astype(dtype)
