"""Heads in levels: one tensor a stride, packed anchors, distributions over bins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import Axis, Box, GridAnchors, OutputBinding, Role, YoloAnchors
from phoneproof.core.contract import Contract, Decode, Nms
from phoneproof.decode.priors import pack_priors
from tests.vectors.decode.rows import centres
from tests.vectors.decode.setup import LABELS, SIZE, Setup, Tensors, bind, detector, part, values

_STRIDES: Final = (8, 16, 32)
_GRIDS: Final = ((8, 12), (4, 6), (2, 3))
_BINS: Final = 5
_SHAPES: Final = (
    ((10.0, 13.0), (30.0, 16.0)),
    ((20.0, 40.0), (48.0, 24.0)),
    ((60.0, 33.0), (64.0, 64.0)),
)
_CLASSES: Final = len(LABELS)
_CHANNEL_FIRST: Final[tuple[Axis, ...]] = ("channel", "y", "x")
_CHANNEL_LAST: Final[tuple[Axis, ...]] = ("y", "x", "channel")
_STRIDED: Final = Box(format="cxcywh", units="stride")
_DISTANCES: Final = Box(format="ltrb", units="stride")
_LOWER: Final = Decode(confidence=0.7, nms=Nms(iou=0.5, max_detections=40))


def setups() -> Iterator[Setup]:
    """DFL, YOLOX, YOLOv5 and SSD heads as converters leave them."""
    for axes in (_CHANNEL_FIRST, _CHANNEL_LAST):
        yield _dfl(axes)
        yield _yolox(axes)
        yield _yolov5(axes)
        yield _ssd(axes)
    yield _dfl_bins()
    yield _dfl_in_one()
    yield _yolov5_apart()
    yield _shuffled()
    yield _grid_that_crops()


def _levels(seed: int, channels: int, axes: tuple[Axis, ...], low: float, step: float) -> Tensors:
    """One tensor [1, channels, rows, columns] a level, or with the channels last."""
    tensors: dict[str, NDArray[Any]] = {}
    for level, (rows, columns) in enumerate(_GRIDS):
        made = values(seed + level, (1, channels, rows, columns), low, step)
        last = axes == _CHANNEL_LAST
        tensors[f"level{level}"] = (
            np.ascontiguousarray(made.transpose(0, 2, 3, 1)) if last else made
        )
    return tensors


def _name(axes: tuple[Axis, ...]) -> str:
    return "nhwc" if axes == _CHANNEL_LAST else "nchw"


def _setup(
    name: str,
    comment: str,
    contract: Contract,
    tensors: Tensors,
    outputs: list[OutputBinding],
    anchors: GridAnchors | YoloAnchors,
) -> Setup:
    return Setup(
        name=name,
        comment=comment,
        contract=contract,
        binding=bind(contract, *outputs, anchors=anchors),
        tensors=tensors,
        flags=("exponentials", "levels"),
    )


def _dfl(axes: tuple[Axis, ...]) -> Setup:
    tensors = _levels(20, 4 * _BINS + _CLASSES, axes, -12.0, 1 / 16)
    outputs: list[OutputBinding] = []
    for level, name in enumerate(tensors):
        cut = (4 * _BINS, 4 * _BINS + _CLASSES)
        outputs += [
            part(tensors, name, "dfl", axes, level=level, cut=(0, 4 * _BINS), box=_DISTANCES),
            part(tensors, name, "scores", axes, level=level, cut=cut, activation="sigmoid"),
        ]
    return _setup(
        f"dfl-{_name(axes)}",
        "distances as distributions over five bins (YOLOv8)",
        detector(),
        tensors,
        outputs,
        GridAnchors(strides=_STRIDES),
    )


def _dfl_bins() -> Setup:
    """Bins as an axis of their own, beside the coordinates."""
    tensors: Tensors = {
        "distances": values(31, (1, 4, _BINS, 126), -8.0, 1 / 16),
        "scores": values(32, (1, _CLASSES, 126), -12.5, 1 / 16),
    }
    return _setup(
        "dfl-bin-axis",
        "bins are an axis of their own",
        detector(),
        tensors,
        [
            part(tensors, "distances", "dfl", ("coord", "bin", "anchor"), box=_DISTANCES),
            part(tensors, "scores", "scores", ("class", "anchor"), activation="sigmoid"),
        ],
        GridAnchors(strides=_STRIDES),
    )


def _dfl_in_one() -> Setup:
    tensors: Tensors = {"out": values(33, (1, 126, 4 * _BINS + _CLASSES), -12.0, 1 / 16)}
    cut = (4 * _BINS, 4 * _BINS + _CLASSES)
    return _setup(
        "dfl-one-tensor",
        "all levels in one tensor, distances and scores side by side",
        detector(),
        tensors,
        [
            part(tensors, "out", "dfl", ("anchor", "channel"), cut=(0, 4 * _BINS), box=_DISTANCES),
            part(tensors, "out", "scores", ("anchor", "channel"), cut=cut, activation="sigmoid"),
        ],
        GridAnchors(strides=_STRIDES),
    )


def _yolox(axes: tuple[Axis, ...]) -> Setup:
    tensors = _levels(40, 5 + _CLASSES, axes, -1.9, 1 / 50)
    outputs: list[OutputBinding] = []
    for level, name in enumerate(tensors):
        outputs += _three(tensors, name, axes, level, packed=1)
    return _setup(
        f"yolox-{_name(axes)}",
        "sides are exponentials; offset 0",
        detector(policy=_LOWER),
        tensors,
        outputs,
        GridAnchors(strides=_STRIDES, offset=0.0),
    )


def _yolov5(axes: tuple[Axis, ...]) -> Setup:
    tensors = _levels(50, 2 * (5 + _CLASSES), axes, -3.9, 1 / 32)
    outputs: list[OutputBinding] = []
    for level, name in enumerate(tensors):
        outputs += _three(tensors, name, axes, level, packed=2, sigmoid=True)
    return _setup(
        f"yolov5-{_name(axes)}",
        "two anchors a cell, packed one after the other",
        detector(),
        tensors,
        outputs,
        YoloAnchors(strides=_STRIDES, wh=_SHAPES),
    )


def _yolov5_apart() -> Setup:
    axes: tuple[Axis, ...] = ("anchor", "y", "x", "channel")
    tensors: dict[str, NDArray[Any]] = {}
    for level, grid in enumerate(_GRIDS):
        tensors[f"level{level}"] = values(60 + level, (1, 2, *grid, 5 + _CLASSES), -3.9, 1 / 32)
    outputs: list[OutputBinding] = []
    for level, name in enumerate(tensors):
        outputs += _three(tensors, name, axes, level, packed=1, sigmoid=True)
    return _setup(
        "yolov5-five-axes",
        "the anchors of a cell are an axis",
        detector(),
        tensors,
        outputs,
        YoloAnchors(strides=_STRIDES, wh=_SHAPES),
    )


def _three(
    tensors: Tensors,
    name: str,
    axes: tuple[Axis, ...],
    level: int,
    *,
    packed: int,
    sigmoid: bool = False,
) -> list[OutputBinding]:
    """Boxes, objectness and scores of one level, side by side."""
    cuts: dict[Role, tuple[int, int]] = {"objectness": (4, 5), "scores": (5, 5 + _CLASSES)}
    boxes = part(
        tensors,
        name,
        "boxes",
        axes,
        level=level,
        cut=(0, 4),
        packed=packed,
        box=_STRIDED,
        activation="sigmoid" if sigmoid else "none",
    )
    rest = [
        part(tensors, name, role, axes, level=level, cut=cut, packed=packed, activation="sigmoid")
        for role, cut in cuts.items()
    ]
    return [boxes, *rest]


def _ssd(axes: tuple[Axis, ...]) -> Setup:
    """Priors run row, column, shape: unlike YOLOv5's."""
    boxes, scores = _levels(70, 8, axes, -2, 1 / 64), _levels(80, 2 * 4, axes, -8, 1 / 16)
    tensors = {f"box-{name}": array for name, array in boxes.items()}
    tensors |= {f"score-{name}": array for name, array in scores.items()}
    sides = np.array([SIZE[1], SIZE[0], SIZE[1], SIZE[0]], np.float32)
    anchors = pack_priors(centres(90, 2 * sum(r * c for r, c in _GRIDS)) / sides)
    box = Box(format="ssd", units="fraction", variances=(0.1, 0.1, 0.2, 0.2), order="yx")
    outputs: list[OutputBinding] = []
    for level in range(len(_GRIDS)):
        names = f"box-level{level}", f"score-level{level}"
        outputs += [
            part(tensors, names[0], "boxes", axes, level=level, packed=2, box=box),
            part(tensors, names[1], "scores", axes, level=level, packed=2, activation="softmax"),
        ]
    contract = detector((None, *LABELS))
    return Setup(
        name=f"ssd-{_name(axes)}",
        comment="two priors a cell, ordered row, column, shape; softmax over four classes",
        contract=contract,
        binding=bind(contract, *outputs, anchors=anchors),
        tensors=tensors,
        flags=("exponentials", "levels", "null_label"),
    )


def _shuffled() -> Setup:
    """The order of the binding's outputs is not that of the levels."""
    base = _dfl(_CHANNEL_FIRST)
    outputs = list(reversed(base.binding.outputs))
    return _setup(
        "dfl-listed-backwards",
        "levels are sorted by their number, whatever the order of the outputs",
        base.contract,
        base.tensors,
        outputs,
        GridAnchors(strides=_STRIDES),
    )


def _grid_that_crops() -> Setup:
    """64 x 96 at stride 10: 7 x 10 rounded up, 6 x 9 rounded down; 54 anchors say down."""
    tensors: Tensors = {
        "boxes": values(95, (1, 54, 4), 0, 1 / 128),
        "scores": values(96, (1, 54, _CLASSES), 0, 1 / 256),
    }
    contract = detector()
    return Setup(
        name="grid-rounded-down",
        comment="only the number of anchors tells that the grid is rounded down",
        contract=contract,
        binding=bind(
            contract,
            part(tensors, "boxes", "boxes", ("anchor", "coord"), box=_DISTANCES),
            part(tensors, "scores", "scores", ("anchor", "class")),
            anchors=GridAnchors(strides=(10,)),
        ),
        tensors=tensors,
        flags=("levels",),
    )
