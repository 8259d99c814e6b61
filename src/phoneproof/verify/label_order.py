"""Whether the data set's labels are the model's, or lie beside them.

A contract whose labels are shifted by one (a background class that is not counted, or counted
twice) gives every artifact the same wrong names: no comparison with the baseline can see it.
The labelled images can: a model that is wrong nearly everywhere, and always by one place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from phoneproof.core.check import Check
from phoneproof.verify.classification_metrics import ClassRow
from phoneproof.verify.detection_metrics import DetectionRow
from phoneproof.verify.evidence import HINTS, ImageValue, Setting, worst_images
from phoneproof.verify.matching import iou
from phoneproof.verify.statistics import tango

SHIFTED_GAIN: Final = 0.2
"""More accuracy than this may not be won by counting one place further. A model that confuses
neighbouring classes wins nothing by it: what it now gets right it would then get wrong."""

DISTINCT_LABELS: Final = 3
"""So many classes must be off by one: a model that mistakes one class for the next does not
count as shifted."""


SAME_OBJECT: Final = 0.5
"""IoU from which a detection is of the labelled object, as in mAP50."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """One image or object: the class the baseline gives it, and the labelled one."""

    name: str
    sha256: str
    found: int
    label: int
    note: str = ""


def named_images(rows: Sequence[ClassRow]) -> tuple[Named, ...]:
    """Classified images; none unless every image has a label."""
    named = tuple(
        Named(name=row.name, sha256=row.sha256, found=row.first, label=row.label, note=row.note)
        for row in rows
        if row.label is not None
    )
    return named if len(named) == len(rows) else ()


def named_objects(rows: Sequence[DetectionRow]) -> tuple[Named, ...]:
    """Labelled objects that the baseline found: the class of the surest box on each."""
    return tuple(named for row in rows for named in _objects(row))


def _objects(row: DetectionRow) -> Iterator[Named]:
    boxes, scores = row.baseline.boxes, row.baseline.scores
    if not len(boxes):
        return
    near = iou(row.truth.boxes, boxes) >= SAME_OBJECT
    for label, crowd, same in zip(row.truth.labels, row.truth.crowd, near, strict=True):
        if same.any() and not crowd:
            best = int(np.where(same, scores, -1.0).argmax())
            yield Named(
                name=row.name,
                sha256=row.sha256,
                found=int(row.baseline.classes[best]),
                label=int(label),
            )


def label_order_check(setting: Setting, named: Sequence[Named], classes: int) -> tuple[Check, ...]:
    """The baseline against the labels, as they are and one place off; none without labels.

    Args:
        named: what the baseline says of each image or object.
        classes: how many labels the contract has.
    """
    if not named or classes < 2:
        return ()
    return (max((_shifted(setting, named, classes, by) for by in (-1, 1)), key=_gain),)


def _gain(check: Check) -> tuple[bool, float]:
    return check.verdict == "fail", check.value or 0.0


def _shifted(setting: Setting, rows: Sequence[Named], classes: int, by: int) -> Check:
    right = [row for row in rows if row.found == row.label]
    moved = [row for row in rows if row.found == (row.label + by) % classes]
    estimate = tango(len(moved), len(right), len(rows))
    several = len({row.label for row in moved}) >= min(DISTINCT_LABELS, classes)
    failed = several and estimate.lower > SHIFTED_GAIN
    return Check(
        name="label_order",
        kind="margin",
        value=estimate.value,
        limit=SHIFTED_GAIN,
        n=len(rows),
        bounds=(estimate.lower, estimate.upper),
        against="labels",
        dataset=setting.dataset,
        runtime=setting.runtime,
        device=setting.device,
        method=f"accuracy won by reading class k as class k {by:+d}; Tango's score interval",
        verdict="fail" if failed else "pass",
        worst=worst_images(
            ImageValue(name=row.name, sha256=row.sha256, value=1.0, note=row.note) for row in moved
        )
        if failed
        else (),
        hint=HINTS["label_order"] if failed else "",
    )
