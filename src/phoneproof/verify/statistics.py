"""Intervals and verdicts for paired measurements. All bounds are one-sided, 95 % each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betaincinv, ndtr, ndtri, stdtrit

from phoneproof.core.check import Verdict

Float64 = NDArray[np.float64]
Index = NDArray[np.int64]

CONFIDENCE: Final = 0.95
Z: Final = float(ndtri(CONFIDENCE))
REPLICATES: Final = 2000
MAX_UNITS: Final = 4096
"""Images are resampled in at most this many units: 64 MB of weights, whatever the number."""
SEED: Final = 20240229
"""Fixed: the same predictions always give the same bounds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A loss D with its one-sided 95 % lower and upper bounds.

    needed: margin -> how many units (images, detections) would decide at the measured spread;
    None where no number would, because the estimate sits on the margin.
    """

    value: float
    lower: float
    upper: float
    needed: Callable[[float], int | None]


def margin_verdict(loss: float, lower: float, upper: float, margin: float) -> Verdict:
    """pass where the loss is surely at most the margin, fail where it is surely above it.

    A NaN anywhere fails: a loss that cannot be computed was not shown to be small.
    """
    if math.isnan(loss) or math.isnan(lower) or math.isnan(upper) or lower > margin:
        return "fail"
    return "pass" if upper <= margin else "undecided"


def tango(lost: int, gained: int, n: int, *, confidence: float = CONFIDENCE) -> Estimate:
    """Difference of two paired proportions, (lost - gained) / n, with Tango's score interval.

    Args:
        lost: pairs right only before. gained: pairs right only after. n: all pairs.
        confidence: of each bound.

    Source: T. Tango, "Equivalence test and confidence interval for the difference in
    proportions for the paired-sample design", Statistics in Medicine 17 (1998), 891-908.
    """
    if n < 1 or min(lost, gained) < 0 or lost + gained > n:
        raise ValueError(f"not a paired table: lost {lost}, gained {gained}, n {n}")
    value = (lost - gained) / n
    z = float(ndtri(confidence))

    def excess(difference: float, sign: float) -> float:
        return tango_score(lost, gained, n, difference) - sign * z

    # The statistic falls from +inf at -1 to -inf at 1, so each bound is a bracketed root.
    edge = 1.0 - 1e-12
    lower = -1.0 if gained == n else float(brentq(excess, -edge, edge, args=(1.0,), xtol=1e-12))
    upper = 1.0 if lost == n else float(brentq(excess, -edge, edge, args=(-1.0,), xtol=1e-12))
    return Estimate(
        value=value,
        lower=lower,
        upper=upper,
        needed=lambda margin: _n_needed_tango(lost, gained, n, margin, z),
    )


def _n_needed_tango(lost: int, gained: int, n: int, margin: float, z: float) -> int | None:
    """Pairs at which Tango's bound meets the margin when both shares stay as they are.

    With shares held, the statistic grows with the square root of the number of pairs.
    """
    score = tango_score(lost, gained, n, margin)
    return math.ceil(n * (z / score) ** 2) if score else None


def tango_score(lost: int, gained: int, n: int, difference: float) -> float:
    """Tango's standardised statistic for a true difference in (-1, 1) (equation 16 of the paper).

    The nuisance probability of a gain is its maximum-likelihood estimate under the hypothesis,
    the larger root of a quadratic.
    """
    a = 2.0 * n
    b = -lost - gained + (2.0 * n - lost + gained) * difference
    c = -gained * difference * (1.0 - difference)
    gain = (math.sqrt(max(b * b - 4.0 * a * c, 0.0)) - b) / (2.0 * a)
    variance = n * (2.0 * gain + difference * (1.0 - difference))
    numerator = lost - gained - n * difference
    if variance <= 0.0:
        return math.copysign(math.inf, numerator) if numerator else 0.0
    return numerator / math.sqrt(variance)


def binomial(events: int, n: int) -> Estimate:
    """A rate with its exact bounds; with n = 0 nothing is known: bounds 0 and 1.

    Source: C. J. Clopper, E. S. Pearson, Biometrika 26 (1934), 404-413.
    """
    if not 0 <= events <= n:
        raise ValueError(f"not a rate: {events} of {n}")
    if n == 0:
        return Estimate(value=math.nan, lower=0.0, upper=1.0, needed=lambda _: None)
    lower, upper = _clopper_pearson(float(events), float(n))
    rate = events / n
    return Estimate(
        value=rate, lower=lower, upper=upper, needed=lambda margin: _n_needed_rate(rate, margin)
    )


def _clopper_pearson(events: float, n: float) -> tuple[float, float]:
    """Bounds of a rate; `events` need not be whole (used for planning)."""
    lower = 0.0 if events <= 0 else float(betaincinv(events, n - events + 1, 1 - CONFIDENCE))
    upper = 1.0 if events >= n else float(betaincinv(events + 1, n - events, CONFIDENCE))
    return lower, upper


def _n_needed_rate(rate: float, margin: float) -> int | None:
    """The smallest n at which a rate of exactly `rate` is decided against the margin."""
    if rate == margin:
        return None

    def decided(n: int) -> bool:
        lower, upper = _clopper_pearson(rate * n, float(n))
        return lower > margin or upper <= margin

    high = 1
    while not decided(high):
        high *= 2
        if high > 10**9:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    return high


def resampling_units(n: int) -> Index:
    """Which unit each of n images is resampled with: int64 [n], units numbered from 0.

    Up to `MAX_UNITS` images each is its own. Beyond, neighbours go together, which keeps the
    replicates' memory flat: images come in the order of their content hashes, so such a group is a
    random sample, and resampling iid groups estimates the same variance.
    """
    return np.arange(n) * min(n, MAX_UNITS) // max(1, n)


def bootstrap_weights(n: int, *, replicates: int = REPLICATES, seed: int = SEED) -> Float64:
    """How often each of n images is drawn: [n, replicates], each column sums to n."""
    random = np.random.Generator(np.random.PCG64(seed))
    counts = random.multinomial(n, np.full(n, 1.0 / n), size=replicates)
    return np.ascontiguousarray(counts.T, dtype=np.float64)


def percentile_bounds(
    replicates: Float64, n: int, *, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """One-sided bounds, 95 % each, from bootstrap replicates of a statistic over n images.

    The percentiles are expanded for small n, where the plain bootstrap is too narrow: T. C.
    Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69
    (2015), 371-386, section 4.3. At n = 128 they are 4.8 and 95.2 instead of 5 and 95.
    """
    if n < 2 or not np.isfinite(replicates).all():
        return -math.inf, math.inf
    tail = float(ndtr(-math.sqrt(n / (n - 1)) * stdtrit(n - 1, confidence)))
    lower, upper = np.quantile(replicates, [tail, 1.0 - tail])
    return float(lower), float(upper)


def bootstrap_estimate(
    value: float, replicates: Float64, n: int, *, confidence: float = CONFIDENCE
) -> Estimate:
    """A statistic over n images with bounds, `confidence` each, from its bootstrap replicates."""
    lower, upper = percentile_bounds(replicates, n, confidence=confidence)
    z = float(ndtri(confidence))
    variance = float(np.var(replicates)) * n

    def needed(margin: float) -> int | None:
        if value == margin or not math.isfinite(variance):
            return None
        return max(1, math.ceil(z**2 * variance / (margin - value) ** 2))

    return Estimate(value=value, lower=lower, upper=upper, needed=needed)


def ratio_estimate(numerators: Float64, denominators: Float64) -> Estimate:
    """sum(numerators) / sum(denominators) over images, resampling images (both [n]).

    A mean over items that come in clusters, an image each: items of one image are not
    independent. Replicates that drew no item at all are left out.
    """
    n = len(numerators)
    total = float(denominators.sum())
    if n == 0 or total == 0.0:
        return Estimate(value=math.nan, lower=-math.inf, upper=math.inf, needed=lambda _: None)
    unit = resampling_units(n)
    weights = bootstrap_weights(int(unit[-1]) + 1)
    counts = np.bincount(unit, weights=denominators) @ weights
    drawn = counts > 0
    replicates = (np.bincount(unit, weights=numerators) @ weights)[drawn] / counts[drawn]
    return bootstrap_estimate(float(numerators.sum()) / total, replicates, n)
