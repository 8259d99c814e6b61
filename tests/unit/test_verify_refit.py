"""A threshold of its own: proposed where scores moved together, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.decode.results import Detections
from phoneproof.verify.refit import RefitRow, fit_threshold, refit_row, threshold_gain

CONTRACT = 0.25
LOWEST = 0.12
Scores = NDArray[np.float64]
Change = Callable[[Scores, np.random.Generator], Scores]


def found(boxes: Scores, scores: Scores, threshold: float) -> Detections:
    kept = np.flatnonzero(scores > threshold)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    return Detections(
        boxes=boxes[kept].astype(np.float32),
        scores=scores[kept].astype(np.float32),
        classes=np.zeros(len(kept), np.int64),
    )


def rows(change: Change, *, images: int = 80, seed: int = 0) -> list[RefitRow]:
    """Twelve objects an image that do not overlap, with scores of 0 to 1."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(images):
        corner = np.stack([np.arange(12) * 50.0, random.uniform(0, 100, 12)], 1)
        boxes = np.concatenate([corner, corner + 40.0], 1)
        scores = random.uniform(0.0, 1.0, 12)
        after = np.clip(change(scores, random), 0.0, 1.0)
        made.append(refit_row(found(boxes, scores, CONTRACT), found(boxes, after, LOWEST)))
    return made


def lower(scores: Scores, random: np.random.Generator) -> Scores:
    return scores - 0.05 + random.normal(0, 0.005, len(scores))


def flatter(scores: Scores, random: np.random.Generator) -> Scores:
    return scores * 0.8 + random.normal(0, 0.005, len(scores))


def noisy(scores: Scores, random: np.random.Generator) -> Scores:
    return scores + random.normal(0, 0.05, len(scores))


@pytest.mark.parametrize(("change", "slope", "offset"), [(lower, 1.0, -0.05), (flatter, 0.8, 0.0)])
def test_the_threshold_follows_scores_that_fell_together(
    change: Change, slope: float, offset: float
) -> None:
    fit = fit_threshold(rows(change), CONTRACT, lowest=LOWEST)
    assert fit.proposed
    assert fit.threshold == pytest.approx(0.20, abs=0.011)
    assert fit.slope == pytest.approx(slope, abs=0.02)
    assert fit.offset == pytest.approx(offset, abs=0.02)
    assert fit.shift.lower <= -0.05 + 0.01 <= fit.shift.upper + 0.02
    assert fit.shift.upper < 0


def test_scores_that_rose_get_a_higher_threshold() -> None:
    fit = fit_threshold(rows(lambda scores, _: scores + 0.05), CONTRACT, lowest=LOWEST)
    assert fit.proposed
    assert fit.threshold == pytest.approx(0.30, abs=0.011)


@pytest.mark.parametrize("seed", range(5))
def test_scores_that_only_flicker_get_none(seed: int) -> None:
    assert not fit_threshold(rows(noisy, seed=seed), CONTRACT, lowest=LOWEST).proposed


def test_equal_scores_keep_the_threshold() -> None:
    fit = fit_threshold(rows(lambda scores, _: scores), CONTRACT, lowest=LOWEST)
    assert fit.threshold == CONTRACT
    assert fit.gain.value == 0.0
    assert not fit.proposed


def test_a_lower_threshold_that_shows_what_the_original_does_not_is_no_gain() -> None:
    """Clear objects fell, and as many phantoms as could be lie just below the threshold."""

    def change(scores: Scores, random: np.random.Generator) -> Scores:
        del random
        return np.where(scores > CONTRACT, scores - 0.05, 0.24)

    fit = fit_threshold(rows(change), CONTRACT, lowest=LOWEST)
    assert fit.threshold >= 0.24
    assert fit.shift.upper < 0  # the scores did fall: only the disagreements speak against it
    assert not (fit.proposed and fit.threshold < 0.24)


def test_few_detections_prove_nothing() -> None:
    fit = fit_threshold(rows(lower, images=2), CONTRACT, lowest=LOWEST)
    assert not fit.proposed


def test_no_detection_at_all_is_not_proposed() -> None:
    empty = found(np.zeros((0, 4)), np.zeros(0), 0.0)
    fit = fit_threshold([refit_row(empty, empty)] * 30, CONTRACT, lowest=LOWEST)
    assert fit.threshold == CONTRACT
    assert not fit.proposed
    assert not fit_threshold([], CONTRACT, lowest=LOWEST).proposed


def test_what_is_fitted_here_is_judged_there() -> None:
    fit = fit_threshold(rows(lower), CONTRACT, lowest=LOWEST)
    elsewhere = rows(lower, seed=9)
    assert threshold_gain(elsewhere, CONTRACT, fit.threshold).value > 0
    unmoved = rows(lambda scores, _: scores, seed=9)
    assert threshold_gain(unmoved, CONTRACT, fit.threshold).value < 0


def test_words_name_both_thresholds() -> None:
    words = fit_threshold(rows(lower), CONTRACT, lowest=LOWEST).words
    assert "0.25" in words
    assert "0.2 saves" in words or "0.21 saves" in words or "0.19 saves" in words
