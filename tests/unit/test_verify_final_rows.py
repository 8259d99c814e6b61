"""Two files that pick their own detections are compared detection by detection."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.check import DatasetRef
from phoneproof.core.errors import VerificationFailed
from phoneproof.verify.bounded import RoleRow, compare_roles, hub_checks
from phoneproof.verify.evidence import Setting
from phoneproof.verify.limits import FLOAT32_LIMITS

FLOOR = 0.125
Roles = dict[str, NDArray[Any]]
RNG = np.random.default_rng(5)


def detections(rows: int = 40) -> Roles:
    """Scores fall from .9 to .01; rows 3 and 4 tie, as do rows 10 and 11."""
    corners = RNG.uniform(0, 300, (rows, 2))
    scores = np.linspace(0.9, 0.01, rows)
    scores[4], scores[11] = scores[3], scores[10]
    return {
        "boxes": np.hstack([corners, corners + RNG.uniform(20, 200, (rows, 2))]).astype(np.float32),
        "scores": scores.astype(np.float32),
        "classes": (np.arange(rows) % 3).astype(np.float32),
    }


def changed(roles: Roles, role: str, row: int, by: float) -> Roles:
    copy = {name: array.copy() for name, array in roles.items()}
    copy[role][row] += by
    return copy


def picked(roles: Roles, rows: NDArray[Any]) -> Roles:
    return {name: array[rows] for name, array in roles.items()}


def compared(baseline: Roles, candidate: Roles) -> dict[str, RoleRow]:
    rows = compare_roles("i", "0" * 64, baseline, candidate, floor=FLOOR)
    return {row.role: row for row in rows}


def verdicts(baseline: Roles, candidate: Roles) -> set[str]:
    rows = compare_roles("i", "0" * 64, baseline, candidate, floor=FLOOR)
    dataset = DatasetRef(hash="0" * 64, split="selection")
    setting = Setting(dataset=dataset, runtime="r", device="cpu")
    return {check.verdict for check in hub_checks(setting, rows, FLOAT32_LIMITS)}


def test_ties_that_change_places_are_no_difference() -> None:
    baseline = detections()
    order = np.arange(40)
    order[[3, 4, 10, 11]] = [4, 3, 11, 10]
    found = compared(baseline, picked(baseline, order))
    assert set(found) == {"boxes", "scores"}
    assert found["boxes"].max_abs == found["scores"].max_abs == 0
    assert verdicts(baseline, picked(baseline, order)) == {"pass"}


def test_any_order_is_the_same() -> None:
    baseline = detections()
    found = compared(baseline, picked(baseline, RNG.permutation(40)))
    assert found["boxes"].noise == found["scores"].noise == 0


def test_faint_rows_may_differ() -> None:
    """The last of the best K are a matter of rounding, and no app shows them."""
    baseline = detections()
    fewer = picked(changed(baseline, "boxes", 39, 50), np.r_[0:36, 39])
    assert verdicts(baseline, fewer) == {"pass"}


def test_a_row_that_falls_just_below_the_floor_keeps_its_partner() -> None:
    baseline = detections()
    baseline["scores"][20] = np.float32(FLOOR + 1e-6)
    for first, second in (
        (baseline, changed(baseline, "scores", 20, -2e-6)),
        (changed(baseline, "scores", 20, -2e-6), baseline),
    ):
        found = compared(first, second)
        assert 0 < found["scores"].max_abs < 3e-6
        assert found["boxes"].max_abs == 0


@pytest.mark.parametrize(
    ("role", "by"), [("boxes", 2.0), ("scores", -0.05), ("classes", 1.0), ("scores", np.nan)]
)
def test_a_wrong_detection_is_caught(role: str, by: float) -> None:
    baseline = detections()
    assert "fail" in verdicts(baseline, changed(baseline, role, 7, by))


def test_a_missing_detection_is_caught() -> None:
    baseline = detections()
    without = picked(baseline, np.delete(np.arange(40), 5))
    found = compared(baseline, without)
    assert found["scores"].max_abs > 0.1
    assert found["boxes"].max_abs > 10
    assert "fail" in verdicts(baseline, without)


def test_an_invented_detection_is_caught() -> None:
    baseline = detections()
    without = picked(baseline, np.delete(np.arange(40), 5))
    assert "fail" in verdicts(without, baseline)


def test_a_second_detection_of_the_same_box_is_caught() -> None:
    baseline = detections()
    twice = picked(baseline, np.r_[0, 0, 1:40])
    assert "fail" in verdicts(baseline, twice)


def test_nothing_found_by_both_is_equal() -> None:
    nothing = picked(detections(), np.arange(0))
    found = compared(nothing, nothing)
    assert found["boxes"].max_abs == 0
    assert "fail" in verdicts(nothing, detections())
    assert "fail" in verdicts(detections(), nothing)


def test_final_detections_against_rows_of_anchors_are_refused() -> None:
    baseline = detections()
    dense = {"boxes": baseline["boxes"], "scores": np.zeros((40, 3), np.float32)}
    with pytest.raises(VerificationFailed, match="not those of the baseline"):
        compare_roles("i", "0" * 64, baseline, dense)
