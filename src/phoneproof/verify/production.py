"""Production pictures against the evaluation images: who stands out, and whether the sets differ.

A picture stands out where one of its values lies beyond the evaluation set's own k-th smallest or
k-th largest, k = max(1, floor(share * (n + 1))). Order statistics need no assumption about the
distribution, and how many pictures they flag by chance is known exactly: if a picture comes from
where the evaluation images came from, it lies beyond each limit with probability k / (n + 1)
(H. A. David, H. N. Nagaraja, "Order Statistics", 3rd ed., section 2.1, for continuous values).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from phoneproof.core.preflight import Feature, FeatureReport, Side, Surprise
from phoneproof.verify.statistics import Float64

PICTURE_SHARE: Final = 0.01
"""Of the pictures: darker than all but one in a hundred of the evaluation images."""

CONFIDENCE_SHARE: Final = 0.05
"""Of the confidences: less certain than all but one in twenty."""

SIGNIFICANCE: Final = 0.01
"""Over all features together (divided by their number: Bonferroni)."""

LEAST_DISTANCE: Final = 0.15
"""A Kolmogorov-Smirnov distance below this is of no use to anybody, however sure it is: with
thousands of pictures every two folders differ a little."""

_EXACT_PAIRS: Final = 10_000
"""The exact distribution of the test is quick up to here; beyond, the asymptotic one is right."""

RULE: Final = (
    "A picture is listed when a value lies beyond the evaluation images' own 1st or 99th "
    "percentile (confidence: 5th), taken as order statistics, so about as many as given under "
    "“by chance” are listed even where nothing differs. The sets are called different where a "
    "two-sample Kolmogorov-Smirnov test gives p < 0.01 divided by the number of features and the "
    "distance is at least 0.15. Pictures of one scene or one video are not independent, which "
    "the test does not know: it then finds differences too easily."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits of one feature. chance: probability to lie beyond each one of them."""

    low: float
    high: float | None
    chance: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Values:
    """One feature's values: of the evaluation images and of the production pictures."""

    feature: Feature
    evaluation: Float64
    production: Float64

    @property
    def limits(self) -> Limits:
        """From the evaluation images alone."""
        one_sided = self.feature == "confidence"
        share = CONFIDENCE_SHARE if one_sided else PICTURE_SHARE
        ordered = np.sort(self.evaluation)
        k = max(1, math.floor(share * (len(ordered) + 1)))
        return Limits(
            low=float(ordered[k - 1]),
            high=None if one_sided else float(ordered[-k]),
            chance=k / (len(ordered) + 1),
        )


def compare_features(values: Sequence[Values]) -> tuple[FeatureReport, ...]:
    """Both sets, feature by feature, in the given order; both sets must not be empty."""
    return tuple(_compare(one, SIGNIFICANCE / len(values)) for one in values)


def _compare(values: Values, significance: float) -> FeatureReport:
    limits = values.limits
    test = ks_2samp(
        values.evaluation,
        values.production,
        method="exact"
        if len(values.evaluation) * len(values.production) <= _EXACT_PAIRS
        else "asymp",
    )
    distance, p_value = float(test.statistic), float(test.pvalue)
    above = 0 if limits.high is None else int((values.production > limits.high).sum())
    return FeatureReport(
        feature=values.feature,
        evaluation_median=float(np.median(values.evaluation)),
        production_median=float(np.median(values.production)),
        low=limits.low,
        high=limits.high,
        below=int((values.production < limits.low).sum()),
        above=above,
        expected=limits.chance * len(values.production),
        distance=distance,
        p_value=p_value,
        differs=p_value < significance and distance >= LEAST_DISTANCE,
    )


def picture_surprises(
    features: Sequence[FeatureReport], row: NDArray[np.float64], *, nothing_found: bool
) -> tuple[Surprise, ...]:
    """What stands out about one picture.

    Args:
        features: as `compare_features` gave them.
        row: float64, the picture's values in the same order.
        nothing_found: a detector shows nothing; then its confidence is not told again.
    """
    found: list[Surprise] = []
    for report, value in zip(features, row, strict=True):
        if report.feature == "confidence" and nothing_found:
            found.insert(0, Surprise(feature="nothing_found", value=float(value)))
        elif (side := _beyond(report, float(value))) is not None:
            limit = report.low if side == "low" else report.high
            surprise = Surprise(feature=report.feature, side=side, value=float(value), limit=limit)
            found.append(surprise)
    return tuple(found)


def _beyond(report: FeatureReport, value: float) -> Side | None:
    if value < report.low:
        return "low"
    return "high" if report.high is not None and value > report.high else None
