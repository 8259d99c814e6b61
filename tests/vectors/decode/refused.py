"""Outputs, bindings and contracts that do not fit each other: each is an error, never a result."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import (
    Anchors,
    Axis,
    Binding,
    Box,
    GridAnchors,
    OutputBinding,
    PriorAnchors,
    YoloAnchors,
)
from phoneproof.decode.priors import pack_priors
from tests.vectors.decode import final, levels
from tests.vectors.decode.classify import contract_of
from tests.vectors.decode.rows import centres
from tests.vectors.decode.setup import Setup, Tensors, bind, detector, part, values

_AC: Final[tuple[Axis, ...]] = ("anchor", "coord")
_AK: Final[tuple[Axis, ...]] = ("anchor", "class")
_XYXY: Final = Box(format="xyxy")
_LTRB: Final = Box(format="ltrb", units="stride")
_ROWS: Final = 6


def setups() -> Iterator[Setup]:
    """Tensors, axes, boxes and anchors, final columns, classifiers."""
    groups = (_tensors(), _axes(), _meanings(), _anchors(), _levels(), _final(), _classifiers())
    for group in groups:
        for setup in group:
            yield dataclasses.replace(setup, name=f"refused-{setup.name}", flags=("error",))


def _plain(
    name: str,
    comment: str,
    *,
    anchors: Anchors | None = None,
    box: Box | None = _XYXY,
    rows: int = _ROWS,
    score_rows: int = _ROWS,
    classes: int = 3,
) -> Setup:
    """A detector of two tensors."""
    tensors: Tensors = {
        "boxes": values(1, (1, rows, 4), 0, 1 / 8),
        "scores": values(2, (1, score_rows, classes), 0, 1 / 256),
    }
    contract = detector()
    return Setup(
        name=name,
        comment=comment,
        contract=contract,
        binding=bind(
            contract,
            part(tensors, "boxes", "boxes", _AC, box=box),
            part(tensors, "scores", "scores", _AK),
            anchors=anchors,
        ),
        tensors=tensors,
    )


def _with_outputs(setup: Setup, *outputs: OutputBinding) -> Setup:
    binding: Binding = msgspec.structs.replace(setup.binding, outputs=outputs)
    return dataclasses.replace(setup, binding=binding)


def _tensors() -> Iterator[Setup]:
    good = _plain("missing-tensor", "a tensor of the binding is missing")
    yield dataclasses.replace(good, tensors={"boxes": good.tensors["boxes"]})
    shorter = {name: array[:, :5] for name, array in good.tensors.items()}
    good = _plain("other-shape", "the tensors have another shape than their binding")
    yield dataclasses.replace(good, tensors=shorter)
    yield _plain("other-anchors", "more rows of scores than boxes", score_rows=7)
    yield _plain("other-labels", "another number of classes than labels", classes=4)


def _axes() -> Iterator[Setup]:
    good = _plain("axes", "")
    boxes, scores = good.binding.outputs
    change = msgspec.structs.replace
    listed: dict[str, tuple[str, OutputBinding]] = {
        "axes-too-few": ("an axis has no name", change(boxes, axes=("coord",))),
        "axes-twice": ("an axis is named twice", change(boxes, axes=("coord", "coord"))),
        "axes-two-values": ("two axes of values", change(boxes, axes=("coord", "class"))),
        "slice-outside": ("a slice past the end", change(boxes, slice=(2, 6))),
        "slice-empty": ("a slice without values", change(boxes, slice=(2, 2))),
        "slice-narrow": ("boxes of three numbers", change(boxes, slice=(0, 3))),
        "packed": ("packed beside an axis of anchors", change(boxes, packed=2)),
        "no-box": ("the binding does not say what its boxes mean", change(boxes, box=None)),
        "keypoints": ("a role this version does not decode", change(scores, role="keypoints")),
        "no-scores": ("no scores at all", change(scores, role="raw")),
    }
    for name, (comment, output) in listed.items():
        kept = (boxes, output) if output.tensor == "scores" else (output, scores)
        yield dataclasses.replace(_with_outputs(good, *kept), name=name, comment=comment)
    twice = _with_outputs(good, boxes, scores, scores)
    yield dataclasses.replace(twice, name="two-scores", comment="two tensors without levels")


def _meanings() -> Iterator[Setup]:
    """Pairs of anchors and format that are no row of the table."""
    priors = pack_priors(centres(3, _ROWS))
    grid = GridAnchors(strides=(32,))
    yolo = YoloAnchors(strides=(32,), wh=(((10.0, 10.0),),))
    listed: dict[str, tuple[Box, Anchors | None]] = {
        "ltrb-without-anchors": (_LTRB, None),
        "ssd-without-priors": (Box(format="ssd"), None),
        "ssd-on-a-grid": (Box(format="ssd"), grid),
        "stride-without-grid": (Box(format="cxcywh", units="stride"), None),
        "corners-on-a-grid": (_XYXY, grid),
        "ltrb-on-yolo-anchors": (_LTRB, yolo),
        "fractions-on-a-grid": (Box(format="cxcywh", units="fraction"), grid),
        "corners-with-priors": (_XYXY, priors),
        "variances-without-ssd": (Box(format="xyxy", variances=(1.0, 1.0, 1.0, 1.0)), None),
        "order-of-corners": (Box(format="yxyx", order="yx"), None),
    }
    for name, (box, anchors) in listed.items():
        yield _plain(name, "no row of the table", box=box, anchors=anchors)


def _anchors() -> Iterator[Setup]:
    """64 x 96 at stride 32 has six cells."""
    ssd = Box(format="ssd", units="fraction")
    good = pack_priors(centres(3, _ROWS))
    cut = PriorAnchors(count=_ROWS, data=good.data[:-8])
    text = PriorAnchors(count=_ROWS, data="*" + good.data[1:])
    listed: dict[str, tuple[Box, Anchors]] = {
        "grid-of-another-size": (_LTRB, GridAnchors(strides=(16,))),
        "no-strides": (_LTRB, GridAnchors(strides=())),
        "stride-zero": (_LTRB, GridAnchors(strides=(0,))),
        "shapes-missing": (
            Box(format="cxcywh", units="stride"),
            YoloAnchors(strides=(32, 64), wh=(((10.0, 10.0),),)),
        ),
        "priors-too-few": (ssd, pack_priors(centres(3, _ROWS - 1))),
        "priors-cut-off": (ssd, cut),
        "priors-no-base64": (ssd, text),
    }
    for name, (box, anchors) in listed.items():
        yield _plain(name, "the anchors do not fit", box=box, anchors=anchors)


def _levels() -> Iterator[Setup]:
    """What only the levels of a head can have wrong."""
    good = next(setup for setup in levels.setups() if setup.name == "dfl-nchw")
    numbers = {0: 1, 1: 0, 2: 2}
    change = msgspec.structs.replace
    outputs = good.binding.outputs
    listed: dict[str, tuple[str, tuple[OutputBinding, ...]]] = {
        "levels-swapped": (
            "two levels are swapped, of boxes and scores alike",
            tuple(change(o, level=numbers[o.level or 0]) for o in outputs),
        ),
        "levels-of-scores-swapped": (
            "two levels of the scores alone are swapped",
            tuple(
                change(o, level=numbers[o.level or 0]) if o.role == "scores" else o for o in outputs
            ),
        ),
        "levels-without-number": (
            "several tensors of a role without levels",
            tuple(change(o, level=None) for o in outputs),
        ),
        "level-missing": (
            "one level less than there are strides",
            tuple(o for o in outputs if o.level != 2),
        ),
        "dfl-width": (
            "bins that are no four sides",
            tuple(change(o, slice=(0, 18)) if o.role == "dfl" else o for o in outputs),
        ),
        "dfl-corners": (
            "bins that give no distances",
            tuple(change(o, box=_XYXY) if o.role == "dfl" else o for o in outputs),
        ),
        "boxes-beside-dfl": (
            "boxes and distributions in one head",
            (*outputs, change(outputs[0], role="boxes")),
        ),
    }
    for name, (comment, changed) in listed.items():
        yield dataclasses.replace(_with_outputs(good, *changed), name=name, comment=comment)


def _final() -> Iterator[Setup]:
    good = next(setup for setup in final.setups() if setup.name == "final-quartet-float32")
    for name, classes, count in (
        ("class-between", (2, 0.5, 1, 1, 0, 2, 1, 0), 6),
        ("class-nan", (2, np.nan, 1, 1, 0, 2, 1, 0), 6),
        ("class-outside-labels", (2, 3, 1, 1, 0, 2, 1, 0), 6),
        ("count-too-large", (2, 0, 1, 1, 0, 2, 1, 0), 9),
        ("count-negative", (2, 0, 1, 1, 0, 2, 1, 0), -1),
        ("count-between", (2, 0, 1, 1, 0, 2, 1, 0), 2.5),
    ):
        tensors = {
            **good.tensors,
            "classes": np.array([classes], np.float32),
            "count": np.array([count], np.float32),
        }
        comment = "numbers that are no classes or no count"
        yield dataclasses.replace(good, name=name, comment=comment, tensors=tensors)
    outputs = good.binding.outputs
    without = tuple(o for o in outputs if o.role != "classes")
    yield dataclasses.replace(
        _with_outputs(good, *without), name="count-without-classes", comment="count alone"
    )
    offset = tuple(
        msgspec.structs.replace(o, class_offset=-1) if o.role == "classes" else o for o in outputs
    )
    yield dataclasses.replace(
        _with_outputs(good, *offset), name="class-offset", comment="class 0 becomes negative"
    )


def _classifiers() -> Iterator[Setup]:
    contract = contract_of("classify")
    listed: dict[str, tuple[str, NDArray[Any], tuple[Axis, ...]]] = {
        "class-map": ("a map of classes", values(3, (1, 7, 2, 2), 0, 1), ("class", "y", "x")),
        "class-count": ("another number of classes", values(3, (1, 6), 0, 1), ("class",)),
    }
    for name, (comment, array, axes) in listed.items():
        tensors: Tensors = {"scores": array}
        yield Setup(
            name=name,
            comment=comment,
            contract=contract,
            binding=bind(contract, part(tensors, "scores", "scores", axes)),
            tensors=tensors,
        )
