"""Whether the data set's labels are the model's, or lie beside them.

A contract whose labels are shifted by one (a background class that is not counted, or counted
twice) gives every artifact the same wrong names: no comparison with the baseline can see it.
The labelled images can: a model that is wrong nearly everywhere, and always by one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from phoneproof.core.check import Check
from phoneproof.verify.classification_metrics import ClassRow
from phoneproof.verify.evidence import HINTS, ImageValue, Setting, worst_images
from phoneproof.verify.statistics import tango

SHIFTED_GAIN: Final = 0.2
"""More accuracy than this may not be won by counting one place further. A model that confuses
neighbouring classes wins nothing by it: what it now gets right it would then get wrong."""

DISTINCT_LABELS: Final = 3
"""So many classes must be off by one: a model that mistakes one class for the next does not
count as shifted."""


def label_order_check(
    setting: Setting, rows: Sequence[ClassRow], classes: int
) -> tuple[Check, ...]:
    """The baseline against the labels, as they are and one place off; none without labels.

    Args:
        rows: what the baseline says of each image.
        classes: how many labels the contract has.
    """
    if not rows or classes < 2 or any(row.label is None for row in rows):
        return ()
    return (max((_shifted(setting, rows, classes, by) for by in (-1, 1)), key=_gain),)


def _gain(check: Check) -> tuple[bool, float]:
    return check.verdict == "fail", check.value or 0.0


def _shifted(setting: Setting, rows: Sequence[ClassRow], classes: int, by: int) -> Check:
    right = [row for row in rows if row.first == row.label]
    moved = [row for row in rows if row.first == ((row.label or 0) + by) % classes]
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
