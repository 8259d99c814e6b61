"""The capture gate of a quantised source: rounding passes, another model does not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.check import Check, DatasetRef
from phoneproof.verify.bounded import compare_roles, role_checks, without_faint_noise
from phoneproof.verify.evidence import Setting
from phoneproof.verify.limits import DEQUANTISED_LIMITS
from phoneproof.verify.verdicts import accepted

SETTING = Setting(dataset=DatasetRef(hash="0" * 64, split="all"), runtime="hub", device="cpu")
STEP = 1 / 256
"""Of a probability in 8 bits."""


def _scores(seed: int, largest: float) -> NDArray[np.float32]:
    generator = np.random.default_rng(seed)
    return (generator.random((500, 4)) ** 4 * largest).astype(np.float32)


def _checks(float_scores: NDArray[np.float32], other: NDArray[np.float32]) -> tuple[Check, ...]:
    quantised = (np.round(float_scores / STEP) * STEP).astype(np.float32)
    rows = compare_roles("a.jpg", "1" * 64, {"scores": quantised}, {"scores": other})
    return without_faint_noise(tuple(role_checks(SETTING, rows, DEQUANTISED_LIMITS)))


def _noise(checks: tuple[Check, ...]) -> Check:
    (check,) = (check for check in checks if check.name == "snr_db")
    return check


def test_rounding_passes() -> None:
    scores = _scores(1, 0.9)
    checks = _checks(scores, scores)
    assert _noise(checks).gating
    assert accepted(checks, DEQUANTISED_LIMITS)


@pytest.mark.parametrize("fault", ["other", "flipped", "zero"])
def test_another_model_does_not(fault: str) -> None:
    scores = _scores(1, 0.9)
    other = {"other": _scores(2, 0.9), "flipped": 1 - scores, "zero": 0 * scores}[fault]
    checks = _checks(scores, other)
    assert _noise(checks).gating
    assert not accepted(checks, DEQUANTISED_LIMITS)


def test_scores_below_a_few_steps_are_all_rounding_and_prove_nothing() -> None:
    scores = _scores(1, 0.4 * STEP)
    checks = _checks(scores, scores)
    assert _noise(checks).verdict == "fail"
    assert not _noise(checks).gating
    # Nothing gates any more, and where nothing gates nothing ships.
    assert not accepted(checks, DEQUANTISED_LIMITS)
