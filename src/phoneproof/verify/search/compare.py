"""Figures of candidates and paired differences between them, with their bounds."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np

from phoneproof.core.search import Interval
from phoneproof.verify.average_precision import mean_average_precision
from phoneproof.verify.coco_matching import ClassMatches, match_classes
from phoneproof.verify.search.observe import Bool, Float64, Observed
from phoneproof.verify.statistics import (
    CONFIDENCE,
    Estimate,
    binomial,
    bootstrap_estimate,
    bootstrap_weights,
    tango,
)


def score_of(observed: Observed) -> float:
    """Top-1 accuracy, or mAP50."""
    if observed.right is not None:
        return float(observed.right.mean())
    value = float(map50(observed, np.ones((len(observed.likelihood), 1)))[0])
    return value if np.isfinite(value) else 0.0


def score_interval(observed: Observed) -> Interval:
    """The score with its bounds: exact binomial, or 2000 image bootstraps."""
    if observed.right is not None:
        estimate = binomial(int(observed.right.sum()), len(observed.right))
        return interval(estimate)
    n = len(observed.likelihood)
    return _bootstrapped(score_of(observed), map50(observed, _weights(n)), n)


def shared_confidence(alternatives: int) -> float:
    """One-sided confidence of each bound with which `alternatives` are compared with a contract.

    One image set is asked several questions: of each alternative whether it is more often right
    and whether it is surer. By Bonferroni's inequality an error has to be that much rarer in each
    for one in twenty over all of them.
    """
    return 1 - (1 - CONFIDENCE) / (2 * max(1, alternatives))


def score_gain(before: Observed, after: Observed, *, confidence: float = CONFIDENCE) -> Interval:
    """Paired gain of the score: Tango's interval, or 2000 paired image bootstraps."""
    if before.right is not None and after.right is not None:
        changed = _changed(after.right, before.right)
        return interval(tango(*changed, len(before.right), confidence=confidence))
    n = len(before.likelihood)
    weights = _weights(n)
    replicates = map50(after, weights) - map50(before, weights)
    return _bootstrapped(score_of(after) - score_of(before), replicates, n, confidence)


def likelihood_gain(
    before: Observed, after: Observed, *, confidence: float = CONFIDENCE
) -> Interval:
    """Paired gain of the mean log-likelihood, 2000 image bootstraps."""
    difference = after.likelihood - before.likelihood
    n = len(difference)
    if not difference.any():
        return Interval(value=0.0, lower=0.0, upper=0.0)
    return _bootstrapped(float(difference.mean()), difference @ _weights(n) / n, n, confidence)


def map50(observed: Observed, weights: Float64) -> Float64:
    """mAP50 of each replicate [R]; weights [images, R]."""
    classes = [_at_half(one) for one in match_classes(observed.truths, observed.detections)]
    if not classes:
        return np.zeros(weights.shape[1])
    return np.asarray(mean_average_precision(classes, weights)[0], np.float64)


def _at_half(matches: ClassMatches) -> ClassMatches:
    """The matches at IoU .5 alone: a tenth of the work."""
    return replace(matches, hit=matches.hit[:1], ignored=matches.ignored[:1])


def interval(estimate: Estimate) -> Interval:
    """The estimate as data."""
    return Interval(value=estimate.value, lower=estimate.lower, upper=estimate.upper)


def _changed(before: Bool, after: Bool) -> tuple[int, int]:
    return int((before & ~after).sum()), int((after & ~before).sum())


def _bootstrapped(
    value: float, replicates: Float64, n: int, confidence: float = CONFIDENCE
) -> Interval:
    finite = replicates[np.isfinite(replicates)]
    if n < 2 or not len(finite):
        return Interval(value=value, lower=-1e9, upper=1e9)
    return interval(bootstrap_estimate(value, finite, n, confidence=confidence))


@lru_cache(maxsize=8)
def _weights(n: int) -> Float64:
    return bootstrap_weights(n)


LIKELIHOOD_MARGIN: Final = 0.02
"""Nats: a gain of less than 2 % in the probability of the true class is no reason to change a
contract, however many images show it."""


def is_better(likelihood: Interval, score: Interval) -> bool:
    """Whether a paired gain is beyond doubt: more images right, or surer of somewhat more.

    Likelihood alone is not enough: a blur makes an overconfident model less sure, no more right.
    """
    surer = likelihood.lower > LIKELIHOOD_MARGIN and score.value > 0
    return score.lower > 0 or surer
