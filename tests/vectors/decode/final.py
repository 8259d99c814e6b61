"""Files that suppress by themselves: boxes, scores, class numbers and a count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import Axis, Box, OutputBinding, Quant, Role
from phoneproof.core.contract import Decode, Nms
from tests.vectors.decode.rows import centres, corners
from tests.vectors.decode.setup import LABELS, SIZE, Setup, Tensors, bind, detector, part

_FINAL: Final = Decode(confidence=0.25)
_ROWS: Final = 8
_SCORES: Final = np.array([0.9, 0.5, 0.75, 0.25, 0.75, 0.125, 0.3, 0.0], np.float32)
_CLASSES: Final = np.array([2, 0, 1, 1, 0, 2, 1, 0], np.float32)
_BOXES: Final = corners(centres(21, _ROWS))


def setups() -> Iterator[Setup]:
    """Six columns, four tensors, paddings, offsets, and class numbers that are not quite whole."""
    for order in ("boxes-scores-classes", "classes-boxes-scores"):
        yield _columns(order)
    for dtype in ("float32", "int32", "int64"):
        yield _quartet(dtype)
    yield _offset()
    yield _padding()
    yield _inexact()
    yield _without_labels()
    yield _with_nms_of_the_contract()


def _columns(order: str) -> Setup:
    columns: dict[str, NDArray[Any]] = {
        "boxes": _BOXES,
        "scores": _SCORES[:, None],
        "classes": _CLASSES[:, None],
    }
    axes: tuple[Axis, ...] = ("anchor", "coord")
    outputs: list[OutputBinding] = []
    roles: dict[str, Role] = {"boxes": "boxes", "scores": "scores", "classes": "classes"}
    names = order.split("-")
    tensors: Tensors = {"out": np.hstack([columns[name] for name in names])[None]}
    first = 0
    for name in names:
        end = first + columns[name].shape[1]
        box = Box(format="xyxy") if name == "boxes" else None
        outputs.append(part(tensors, "out", roles[name], axes, cut=(first, end), box=box))
        first = end
    contract = detector(policy=_FINAL)
    return Setup(
        name=f"final-{order}",
        comment="six columns of one tensor; equal scores in the file's order",
        contract=contract,
        binding=bind(contract, *outputs, nms_in_file=True),
        tensors=tensors,
        flags=("final", "ties"),
    )


def _four(
    boxes: NDArray[Any], scores: NDArray[Any], classes: NDArray[Any], count: float, dtype: str
) -> Tensors:
    height, width = SIZE
    fractions = (boxes / np.array([width, height, width, height], np.float32))[:, [1, 0, 3, 2]]
    return {
        "boxes": fractions[None],
        "classes": classes[None].astype(dtype),
        "scores": scores[None],
        "count": np.array([count], dtype),
    }


def _outputs(tensors: Tensors, offset: int = 0) -> tuple[OutputBinding, ...]:
    box = Box(format="yxyx", units="fraction")
    return (
        part(tensors, "boxes", "boxes", ("anchor", "coord"), box=box),
        part(tensors, "classes", "classes", ("anchor",), class_offset=offset),
        part(tensors, "scores", "scores", ("anchor",)),
        part(tensors, "count", "count", ()),
    )


def _quartet(dtype: str) -> Setup:
    """Two rows past the count would be found if they counted."""
    scores = _SCORES.copy()
    scores[6:] = 0.99
    tensors = _four(_BOXES, scores, _CLASSES, 6, dtype)
    contract = detector(policy=_FINAL)
    return Setup(
        name=f"final-quartet-{dtype}",
        comment="boxes, classes, scores, count; rows past the count are none",
        contract=contract,
        binding=bind(contract, *_outputs(tensors), nms_in_file=True),
        tensors=tensors,
        flags=("final", "ties"),
    )


def _offset() -> Setup:
    tensors = _four(_BOXES, _SCORES, _CLASSES, _ROWS, "float32")
    contract = detector((None, *LABELS), policy=_FINAL)
    return Setup(
        name="final-class-offset",
        comment="label 0 is a background that the file does not count",
        contract=contract,
        binding=bind(contract, *_outputs(tensors, offset=1), nms_in_file=True),
        tensors=tensors,
        flags=("final", "null_label", "ties"),
    )


def _padding() -> Setup:
    classes = _CLASSES.copy()
    classes[[1, 4]] = -1
    scores = _SCORES.copy()
    scores[2] = np.nan
    tensors = _four(_BOXES, scores, classes, _ROWS, "float32")
    contract = detector(policy=_FINAL)
    return Setup(
        name="final-padding",
        comment="a negative class is padding; a NaN score is never found",
        contract=contract,
        binding=bind(contract, *_outputs(tensors), nms_in_file=True),
        tensors=tensors,
        flags=("final", "not_finite"),
    )


def _inexact() -> Setup:
    """A quantised column of classes gives 1.98 for 2."""
    quant = Quant(scale=0.0157, zero_point=0)
    tensors: Tensors = {
        "boxes": _BOXES[None],
        "classes": np.rint(_CLASSES / np.float32(quant.scale)).astype(np.uint8)[None],
        "scores": _SCORES[None],
    }
    contract = detector(policy=_FINAL)
    return Setup(
        name="final-quantised-classes",
        comment="class numbers within a tenth of a whole number",
        contract=contract,
        binding=bind(
            contract,
            part(tensors, "boxes", "boxes", ("anchor", "coord"), box=Box(format="xyxy")),
            part(tensors, "classes", "classes", ("anchor",), quant=quant),
            part(tensors, "scores", "scores", ("anchor",)),
            nms_in_file=True,
        ),
        tensors=tensors,
        flags=("final", "quantised", "ties"),
    )


def _without_labels() -> Setup:
    tensors = _four(_BOXES, _SCORES, _CLASSES + np.float32(40), _ROWS, "float32")
    contract = detector((), policy=_FINAL)
    return Setup(
        name="final-without-labels",
        comment="no labels: class numbers as they are",
        contract=contract,
        binding=bind(contract, *_outputs(tensors), nms_in_file=True),
        tensors=tensors,
        flags=("final", "ties"),
    )


def _with_nms_of_the_contract() -> Setup:
    """Two boxes of one class at one place both stay; max_detections still counts."""
    boxes = _BOXES.copy()
    boxes[4] = boxes[1]
    tensors = _four(boxes, _SCORES, _CLASSES, _ROWS, "float32")
    policy = Decode(confidence=0.25, nms=Nms(iou=0.5, max_detections=4))
    contract = detector(policy=policy)
    return Setup(
        name="final-nms-in-file",
        comment="the contract's NMS is not done again; its max_detections holds",
        contract=contract,
        binding=bind(contract, *_outputs(tensors), nms_in_file=True),
        tensors=tensors,
        flags=("final", "ties", "max_detections"),
    )
