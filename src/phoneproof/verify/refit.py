"""A threshold of its own for a file whose scores moved together.

Integers that clip the peaks of a head lower every score by about the same amount. The objects are
still found, but the app's threshold now cuts elsewhere. Where that is systematic, another threshold
shows what the original shows. It is fitted on some images and must hold on others; nothing else
about the file changes, and the contract never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from phoneproof.decode.results import Detections, Float
from phoneproof.verify.distribution import match_detections
from phoneproof.verify.matching import UNMATCHED
from phoneproof.verify.statistics import (
    Estimate,
    Float64,
    bootstrap_estimate,
    bootstrap_weights,
    ratio_estimate,
    resampling_units,
)

STEP: Final = 0.01
"""Thresholds are tried at whole hundredths: people write no finer ones, and images prove none."""

LEAST_PAIRS: Final = 30
"""Fewer matched detections say nothing about a line through them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RefitRow:
    """One image. before, after: scores float32 [N] of what the baseline's app shows and the
    candidate finds again, at whatever score; missing: how many it does not; new: scores float32
    [M] of what only the candidate finds.
    """

    before: Float
    after: Float
    missing: int
    new: Float


@dataclass(frozen=True, kw_only=True, slots=True)
class Refit:
    """The candidate's threshold, and how sure it is.

    contract: the baseline's threshold; threshold: that of the candidate with the fewest
    disagreements. slope, offset: of the line candidate = slope * baseline + offset. shift: what
    that line adds to a score at the contract's threshold. gain: disagreements saved an image.
    pairs: matched detections. Bounds are those of 2000 image bootstraps.
    """

    contract: float
    threshold: float
    slope: float
    offset: float
    shift: Estimate
    gain: Estimate
    pairs: int

    @property
    def proposed(self) -> bool:
        """Whether scores surely moved at the threshold, and following them surely helps."""
        lower = self.threshold < self.contract and self.shift.upper < 0
        higher = self.threshold > self.contract and self.shift.lower > 0
        return (lower or higher) and self.gain.lower > 0 and self.pairs >= LEAST_PAIRS

    @property
    def words(self) -> str:
        """What was found, in a line."""
        return (
            f"scores at {self.contract:g} moved by {self.shift.value:+.3f} "
            f"({self.shift.lower:+.3f} to {self.shift.upper:+.3f}, {self.pairs} detections); "
            f"{self.threshold:g} saves {self.gain.value:.2f} disagreements an image "
            f"(at least {self.gain.lower:.2f})"
        )


def refit_row(baseline: Detections, candidate: Detections) -> RefitRow:
    """Match what the baseline's app shows in what the candidate finds.

    Args:
        baseline: under the app's decode, at its own threshold.
        candidate: under the same decode at a lower threshold. Suppression goes from the best
            score down, so what it shows at a higher threshold is a part of this.
    """
    found = match_detections(baseline, candidate)
    partner = found[found != UNMATCHED]
    others = np.setdiff1d(np.arange(len(candidate.scores)), partner)
    return RefitRow(
        before=baseline.scores[found != UNMATCHED],
        after=candidate.scores[partner],
        missing=int((found == UNMATCHED).sum()),
        new=candidate.scores[others],
    )


def fit_threshold(rows: Sequence[RefitRow], contract: float, *, lowest: float) -> Refit:
    """The threshold at which the candidate's app disagrees least with the baseline's.

    Of equally good ones the nearest to the contract's is taken.

    Args:
        rows: of the images to fit on.
        contract: the baseline's threshold, 0..1.
        lowest: the threshold that the candidate's detections were decoded with.
    """
    cents = np.arange(np.ceil(lowest / STEP - 1e-9), np.floor(1.0 / STEP))
    tried = sorted({contract, *(round(float(cent) * STEP, 2) for cent in cents)})
    best = min(tried, key=lambda one: (sum(_wrong(rows, one)), abs(one - contract)))
    slope, offset, shift = _line(rows, contract)
    return Refit(
        contract=contract,
        threshold=best,
        slope=slope,
        offset=offset,
        shift=shift,
        gain=threshold_gain(rows, contract, best),
        pairs=sum(len(row.before) for row in rows),
    )


def threshold_gain(rows: Sequence[RefitRow], before: float, after: float) -> Estimate:
    """Disagreements an image that the candidate saves by `after` instead of `before`; paired."""
    saved = _wrong(rows, before) - _wrong(rows, after)
    return ratio_estimate(saved, np.ones(len(rows)))


def _wrong(rows: Sequence[RefitRow], threshold: float) -> Float64:
    """Detections of each image that one app shows and the other does not, float64 [images]."""
    limit = np.float32(threshold)
    return np.array(
        [row.missing + (row.after <= limit).sum() + (row.new > limit).sum() for row in rows],
        np.float64,
    )


def _line(rows: Sequence[RefitRow], at: float) -> tuple[float, float, Estimate]:
    """Least squares of the candidate's score on the baseline's, and what the line adds at `at`."""
    sums = np.array([_sums(row) for row in rows], np.float64).reshape(-1, 5)
    slope, offset = _solved(sums.sum(axis=0)[:, None])
    shift = float(slope[0] * at + offset[0] - at)
    if not np.isfinite(shift):
        unknown = Estimate(value=shift, lower=-np.inf, upper=np.inf, needed=lambda _: None)
        return float(slope[0]), float(offset[0]), unknown
    unit = resampling_units(len(rows))
    weights = bootstrap_weights(int(unit[-1]) + 1)
    grouped = np.array([np.bincount(unit, weights=column) for column in sums.T])
    slopes, offsets = _solved(grouped @ weights)
    moved = slopes * at + offsets - at
    estimate = bootstrap_estimate(shift, moved[np.isfinite(moved)], len(rows))
    return float(slope[0]), float(offset[0]), estimate


def _sums(row: RefitRow) -> tuple[float, float, float, float, float]:
    x, y = row.before.astype(np.float64), row.after.astype(np.float64)
    return float(len(x)), float(x.sum()), float(y.sum()), float((x * x).sum()), float((x * y).sum())


def _solved(sums: Float64) -> tuple[Float64, Float64]:
    """Slopes and offsets [K] from the sums [5, K] of 1, x, y, xx, xy; NaN where x has no spread."""
    n, x, y, xx, xy = sums
    spread = n * xx - x * x
    known = spread > 1e-12
    slope = np.divide(n * xy - x * y, spread, out=np.full_like(spread, np.nan), where=known)
    offset = np.divide(y - slope * x, n, out=np.full_like(spread, np.nan), where=n > 0)
    return slope, offset
