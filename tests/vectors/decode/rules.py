"""Thresholds, ties, suppression, labels: what is found of boxes that are given as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from phoneproof.core.binding import Binding, Box
from phoneproof.core.contract import Contract, Decode, Nms
from phoneproof.decode.results import Float
from tests.vectors.decode.rows import centres, corners
from tests.vectors.decode.setup import LABELS, Setup, Tensors, bind, detector, part, values
from tests.vectors.types import Flag

_NMS: Final = Nms(iou=0.5)
_QUARTER: Final = Decode(confidence=0.25, nms=_NMS)
_SAME: Final = ((10, 10, 40, 40),) * 3
_APART: Final = ((0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10), (60, 0, 70, 10))
_HALF: Final = ((0, 0, 20, 20), (0, 0, 20, 10), (50, 0, 70, 20))
"""The first two overlap with an IoU of exactly one half."""
_INF: Final = float("inf")
_NAN: Final = float("nan")

_Rows = Sequence[Sequence[float]]


def setups() -> Iterator[Setup]:
    """Each rule with a case in which breaking it changes the results."""
    yield from _thresholds()
    yield from _ties()
    yield from _suppression()
    yield from _limits()
    yield from _labels()
    yield from _not_finite()
    yield from _policies()
    yield from _crowds()


def _setup(
    name: str,
    comment: str,
    boxes: _Rows | Float,
    scores: _Rows | Float,
    policy: Decode,
    *,
    labels: tuple[str | None, ...] = LABELS,
    override: Decode | None = None,
    nms_in_file: bool = False,
    flags: tuple[Flag, ...] = (),
) -> Setup:
    tensors: Tensors = {
        "boxes": np.array(boxes, np.float32)[None],
        "scores": np.array(scores, np.float32)[None],
    }
    contract = detector(labels, policy)
    return Setup(
        name=name,
        comment=comment,
        contract=contract,
        binding=_binding(contract, tensors, override, nms_in_file),
        tensors=tensors,
        flags=flags,
    )


def _binding(
    contract: Contract, tensors: Tensors, override: Decode | None, nms_in_file: bool
) -> Binding:
    return bind(
        contract,
        part(tensors, "boxes", "boxes", ("anchor", "coord"), box=Box(format="xyxy")),
        part(tensors, "scores", "scores", ("anchor", "class")),
        override=override,
        nms_in_file=nms_in_file,
    )


def _thresholds() -> Iterator[Setup]:
    above = float(np.nextafter(np.float32(0.25), np.float32(1)))
    yield _setup(
        "threshold-exact",
        "a score counts when it is greater than the confidence",
        _APART,
        [[0.25, 0, 0], [above, 0, 0], [0, 0.5, 0], [0, 0, 0.24]],
        _QUARTER,
        flags=("threshold",),
    )
    yield _setup(
        "threshold-float32",
        ".3 as float32 is greater than .3 as float64: the comparison is float32",
        _APART,
        [[0.3, 0, 0], [0, 0.30000004, 0], [0, 0, 0.29999998], [0, 0, 0]],
        Decode(confidence=0.3, nms=_NMS),
        flags=("threshold",),
    )
    yield _setup(
        "threshold-zero",
        "a score of 0 is not greater than 0",
        _APART,
        [[0, 0, 0], [1e-30, 0, 0], [0, 0, 0], [0, 1, 0]],
        Decode(confidence=0.0, nms=_NMS),
        flags=("threshold",),
    )
    yield from _nothing()


def _nothing() -> Iterator[Setup]:
    yield _setup(
        "empty",
        "nothing is over the threshold",
        _APART,
        np.full((4, 3), 0.2, np.float32),
        _QUARTER,
        flags=("empty",),
    )
    yield _setup(
        "threshold-one",
        "nothing is greater than 1",
        _APART,
        np.ones((4, 3), np.float32),
        Decode(confidence=1.0, nms=_NMS),
        flags=("empty", "threshold"),
    )


def _ties() -> Iterator[Setup]:
    yield _setup(
        "ties-of-anchors",
        "of equal scores at one place the first anchor stays",
        ((10, 10, 40, 40), (11, 10, 41, 40), (10, 10, 40, 41), (60, 10, 90, 40)),
        [[0, 0.5, 0], [0, 0.5, 0], [0, 0.5, 0], [0.5, 0, 0]],
        _QUARTER,
        flags=("ties",),
    )
    yield _setup(
        "ties-of-classes",
        "of equal classes of an anchor the first",
        _APART,
        [[0.5, 0.5, 0.5], [0.1, 0.6, 0.6], [0.3, 0.2, 0.3], [0, 0, 0.9]],
        _QUARTER,
        flags=("ties",),
    )
    yield _setup(
        "ties-of-anchors-and-classes",
        "equal scores are ordered by anchor, then by class",
        _APART,
        [[0.5, 0.75, 0.5], [0.5, 0.5, 0.75], [0.75, 0.5, 0.5], [0.5, 0.5, 0.5]],
        Decode(confidence=0.25, multi_label=True, nms=_NMS),
        flags=("multi_label", "ties"),
    )


def _suppression() -> Iterator[Setup]:
    scores = [[0.9, 0, 0], [0.8, 0, 0], [0, 0.7, 0]]
    yield _setup(
        "iou-exact",
        "an overlap of exactly the limit is kept",
        _HALF,
        scores,
        Decode(confidence=0.25, nms=Nms(iou=0.5)),
        flags=("threshold",),
    )
    yield _setup(
        "iou-below",
        "the same overlap over a lower limit is dropped",
        _HALF,
        scores,
        Decode(confidence=0.25, nms=Nms(iou=0.49)),
    )
    yield _setup(
        "iou-one",
        "an IoU of 1 is not greater than 1",
        _SAME,
        scores,
        Decode(confidence=0.25, nms=Nms(iou=1.0)),
    )
    yield _setup(
        "chain",
        "a box that was dropped drops nothing",
        ((0, 0, 20, 20), (6, 0, 26, 20), (12, 0, 32, 20), (18, 0, 38, 20)),
        [[0.9, 0, 0], [0.8, 0, 0], [0.7, 0, 0], [0.6, 0, 0]],
        _QUARTER,
    )
    yield from _overlaps()


def _overlaps() -> Iterator[Setup]:
    for agnostic in (False, True):
        yield _setup(
            f"three-classes-{'agnostic' if agnostic else 'aware'}",
            "three classes at one place",
            _SAME,
            [[0.9, 0, 0], [0, 0.8, 0], [0, 0, 0.7]],
            Decode(confidence=0.25, nms=Nms(iou=0.5, class_agnostic=agnostic)),
            flags=("class_agnostic",) if agnostic else (),
        )
    yield _setup(
        "empty-boxes",
        "boxes without area, or with negative sides, overlap nothing",
        ((10, 10, 10, 10), (10, 10, 10, 10), (30, 30, 20, 20), (30, 30, 20, 20)),
        [[0.9, 0, 0], [0.8, 0, 0], [0.7, 0, 0], [0.6, 0, 0]],
        _QUARTER,
    )
    yield _setup(
        "huge-boxes",
        "areas beyond float32: inf / inf is over no limit",
        ((-1e30, -1e30, 1e30, 1e30), (-1e30, -1e30, 1e30, 1e30), (0, 0, 50, 50), (1, 0, 50, 50)),
        [[0.9, 0, 0], [0.8, 0, 0], [0.7, 0, 0], [0.6, 0, 0]],
        _QUARTER,
        flags=("clipped",),
    )


def _limits() -> Iterator[Setup]:
    boxes = [(3 * i, 0, 3 * i + 2, 9) for i in range(12)]
    scores = [[0.5, 0, 0], [0.75, 0, 0], [0.5, 0, 0]] * 4
    for most in (1, 5, 6):
        yield _setup(
            f"pre-top-k-{most}",
            "the best candidates; of equal ones at the cut the first",
            boxes,
            scores,
            Decode(confidence=0.25, nms=Nms(iou=0.5, pre_top_k=most)),
            flags=("pre_top_k", "ties"),
        )
        yield _setup(
            f"max-detections-{most}",
            "the best kept ones",
            boxes,
            scores,
            Decode(confidence=0.25, nms=Nms(iou=0.5, max_detections=most)),
            flags=("max_detections", "ties"),
        )
    yield _setup(
        "pre-top-k-multi-label",
        "candidates are pairs of anchor and class",
        boxes,
        [[0.5, 0.75, 0.5], [0.75, 0.5, 0.25]] * 6,
        Decode(confidence=0.25, multi_label=True, nms=Nms(iou=0.5, pre_top_k=14)),
        flags=("multi_label", "pre_top_k", "ties"),
    )
    yield _setup(
        "outside-the-picture",
        "boxes are clipped to the original, also those that lie outside",
        ((-20, -20, 30, 30), (80, 50, 200, 90), (-50, 10, -10, 40), (0, 0, 96, 64)),
        [[0.9, 0, 0], [0, 0.8, 0], [0, 0, 0.7], [0.6, 0, 0]],
        _QUARTER,
        flags=("clipped",),
    )


def _labels() -> Iterator[Setup]:
    scores = [[0.9, 0.5, 0.1], [0.9, 0.1, 0.3], [0.2, 0.2, 0.2], [0.3, 0.9, 0.9]]
    listed: dict[str, tuple[str | None, ...]] = {
        "null-first": (None, "cat", "dog"),
        "null-middle": ("cat", None, "dog"),
        "null-all": (None, None, None),
        "none": (),
    }
    for name, labels in listed.items():
        yield _setup(
            f"labels-{name}",
            "a null label is never found: an anchor's best class is among the others",
            _APART,
            scores,
            _QUARTER,
            labels=labels,
            flags=("null_label",) if None in labels else (),
        )


def _not_finite() -> Iterator[Setup]:
    scores = [[0.9, 0, 0], [_NAN, 0.8, 0], [0, 0.7, _NAN], [0, 0, 0.6]]
    for multi in (False, True):
        yield _setup(
            f"nan-scores-{'multi' if multi else 'single'}",
            "an anchor with a NaN score is not found at all",
            _APART,
            scores,
            Decode(confidence=0.25, multi_label=multi, nms=_NMS),
            flags=("not_finite",),
        )
    yield _setup(
        "boxes-not-finite",
        "an anchor whose box is not finite is not found, and suppresses nothing",
        ((0, 0, _INF, 10), (0, _NAN, 10, 10), (0, 0, 10, 10), (-_INF, 0, 10, 10)),
        [[0.9, 0, 0], [0.8, 0, 0], [0.7, 0, 0], [0.6, 0, 0]],
        _QUARTER,
        flags=("not_finite",),
    )
    yield _setup(
        "infinite-score",
        "an infinite score of a class without a label is never looked at",
        _APART,
        [[0.9, _INF, 0], [0.8, 0, 0], [0.7, -_INF, 0], [0, 0, 0.6]],
        _QUARTER,
        labels=("cat", None, "dog"),
        flags=("not_finite", "null_label"),
    )


def _policies() -> Iterator[Setup]:
    boxes = ((0, 0, 20, 20), (1, 0, 20, 20), (50, 0, 70, 20), (51, 0, 70, 20))
    scores = [[0.9, 0.6, 0], [0.8, 0, 0], [0, 0.3, 0.7], [0, 0, 0.4]]
    yield _setup(
        "override",
        "the binding's decode comes before the contract's",
        boxes,
        scores,
        _QUARTER,
        override=Decode(confidence=0.5, multi_label=True, nms=Nms(iou=0.99)),
        flags=("multi_label", "override"),
    )
    yield _setup(
        "override-without-nms",
        "an override without NMS: boxes are final",
        boxes,
        scores,
        _QUARTER,
        override=Decode(confidence=0.35),
        flags=("override",),
    )
    yield from _final_boxes(boxes, scores)


def _final_boxes(boxes: _Rows, scores: _Rows) -> Iterator[Setup]:
    yield _setup(
        "without-nms",
        "no NMS in the contract: threshold and order only",
        boxes,
        scores,
        Decode(confidence=0.25),
    )
    yield _setup(
        "without-nms-multi-label",
        "every class over the threshold is a result",
        boxes,
        scores,
        Decode(confidence=0.25, multi_label=True),
        flags=("multi_label",),
    )
    yield _setup(
        "nms-in-file",
        "the file has suppressed already, its rows of scores are whole",
        boxes,
        scores,
        Decode(confidence=0.25, nms=Nms(iou=0.5, max_detections=3)),
        nms_in_file=True,
        flags=("max_detections",),
    )
    many = [(i % 32, i // 32, i % 32 + 2, i // 32 + 2) for i in range(320)]
    yield _setup(
        "final-300",
        "of final boxes the best 300 are kept",
        many,
        values(41, (320, 1), 0.5, 1 / 1024),
        Decode(confidence=0.25),
        labels=("cat",),
        flags=("max_detections", "ties"),
    )


def _crowds() -> Iterator[Setup]:
    """400 boxes that overlap, with 256 different scores."""
    boxes = corners(centres(77, 400))
    scores = values(78, (400, 3), 0, 1 / 256)
    listed: dict[str, tuple[Decode, tuple[Flag, ...]]] = {
        "aware": (Decode(confidence=0.7, nms=Nms(iou=0.45, max_detections=100)), ()),
        "agnostic": (
            Decode(confidence=0.5, nms=Nms(iou=0.3, class_agnostic=True, max_detections=100)),
            ("class_agnostic",),
        ),
        "multi-label": (
            Decode(confidence=0.6, multi_label=True, nms=Nms(iou=0.6, pre_top_k=200)),
            ("multi_label", "pre_top_k"),
        ),
        "multi-label-agnostic": (
            Decode(
                confidence=0.6,
                multi_label=True,
                nms=Nms(iou=0.2, class_agnostic=True, max_detections=50),
            ),
            ("multi_label", "class_agnostic"),
        ),
    }
    for name, (policy, flags) in listed.items():
        yield _setup(
            f"crowd-{name}",
            "many candidates, many ties",
            boxes,
            scores,
            policy,
            flags=("ties", *flags),
        )
