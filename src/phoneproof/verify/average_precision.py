"""Mean average precision and recall of resampled images, without matching again.

Resampling images changes neither which detection matches which box nor the order of scores: it
only repeats or drops whole images. A replicate is therefore a column of weights, and every count
along the score-sorted detections is a weighted running sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from phoneproof.verify.coco_matching import Bool, ClassMatches
from phoneproof.verify.matching import Index
from phoneproof.verify.statistics import (
    MAX_UNITS,
    Float64,
    bootstrap_weights,
    resampling_units,
)

RECALLS: Final[Float64] = np.linspace(0.0, 1.0, 101)
"""COCO's 101 recall points."""

_BLOCK_VALUES: Final = 4_000_000
"""Values of one array handled at once, detections of a class times replicates: 32 MB."""


def bootstrap_precision(classes: Sequence[ClassMatches], images: int) -> Float64:
    """mAP at each IoU threshold of each bootstrap replicate over `images`, [10, R].

    The replicates of two models over the same images draw the same images.
    """
    units = _by_unit(classes, images)
    return mean_average_precision(units, _weights(images))


def bootstrap_recall(classes: Sequence[ClassMatches], images: int) -> Float64:
    """Average recall of each bootstrap replicate over `images`, [R]."""
    return mean_recall(_by_unit(classes, images), _weights(images))


def _weights(images: int) -> Float64:
    return bootstrap_weights(min(images, MAX_UNITS))


def _by_unit(classes: Sequence[ClassMatches], images: int) -> tuple[ClassMatches, ...]:
    """The matches with the units of resampling in place of images."""
    unit = resampling_units(images)
    return tuple(
        replace(
            one,
            image=unit[one.image],
            objects=np.bincount(unit, weights=one.objects).astype(np.float64),
        )
        for one in classes
    )


def mean_average_precision(classes: Sequence[ClassMatches], weights: Float64) -> Float64:
    """mAP at each IoU threshold of each replicate.

    Args:
        classes: matches (`coco_matching.match_classes`).
        weights: [images, R], how often each image is drawn; ones give the plain figure.

    Returns:
        float64 [10, R]; the mean over the first axis is mAP50-95, the first row mAP50. A class
        without an object in a replicate does not count there; NaN where none has one.
    """
    largest = max((len(matches.image) for matches in classes), default=1)
    step = max(1, min(weights.shape[1], _BLOCK_VALUES // max(1, largest)))
    blocks = range(0, weights.shape[1], step)
    return np.concatenate(
        [_mean_over_classes(classes, weights[:, at : at + step]) for at in blocks], axis=1
    )


def mean_recall(classes: Sequence[ClassMatches], weights: Float64) -> Float64:
    """COCO's average recall, the mean over classes and IoU thresholds, of each replicate [R]."""
    total = np.zeros(weights.shape[1])
    present = np.zeros(weights.shape[1])
    for matches in classes:
        objects = matches.objects @ weights
        hits = np.bincount(
            matches.image, weights=matches.hit.mean(axis=0), minlength=len(matches.objects)
        )
        there = objects > 0
        total[there] += (hits @ weights)[there] / objects[there]
        present += there
    return np.divide(total, present, out=np.full_like(total, np.nan), where=present > 0)


def _mean_over_classes(classes: Sequence[ClassMatches], weights: Float64) -> Float64:
    thresholds = classes[0].hit.shape[0] if classes else 1
    total = np.zeros((thresholds, weights.shape[1]))
    present = np.zeros(weights.shape[1])
    for matches in classes:
        objects = matches.objects @ weights
        there = objects > 0
        total[:, there] += _class_precision(matches, weights[:, there], objects[there])
        present += there
    return np.divide(total, present, out=np.full_like(total, np.nan), where=present > 0)


def _class_precision(matches: ClassMatches, weights: Float64, objects: Float64) -> Float64:
    """Average precision of one class: [10, R]."""
    result = np.zeros((matches.hit.shape[0], weights.shape[1]))
    if not matches.hit.any():
        return result
    # What follows the last hit changes nothing.
    end = int(np.flatnonzero(matches.hit.any(axis=0))[-1]) + 1
    image, hit, ignored = matches.image[:end], matches.hit[:, :end], matches.ignored[:, :end]
    drawn = weights[image]
    everything = np.cumsum(drawn, axis=0)
    for t in range(len(hit)):
        counted = everything
        if ignored[t].any():
            counted = np.cumsum(drawn * ~ignored[t][:, None], axis=0)
        result[t] = _average_precision(hit[t], image, counted, weights, objects)
    return result


def _average_precision(
    hit: Bool, image: Index, counted: Float64, weights: Float64, objects: Float64
) -> Float64:
    """Average precision [R] at one IoU threshold.

    Between two hits precision only falls, so the envelope needs the hits alone. The mean over
    101 recall points is the sum over hits of the envelope times the points that hit reaches.
    """
    positions = np.flatnonzero(hit)
    if len(positions) == 0:
        return np.zeros(weights.shape[1])
    hits = np.cumsum(weights[image[positions]], axis=0)
    detections = counted[positions]
    precision = np.divide(hits, detections, out=np.zeros_like(hits), where=detections > 0)
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    reached = _points_reached(hits / objects)
    return np.asarray(
        (envelope * np.diff(reached, axis=0, prepend=0.0)).sum(axis=0) / len(RECALLS), np.float64
    )


def _points_reached(recall: Float64) -> Float64:
    """How many of the 101 points are at most each recall, compared as COCO compares them."""
    nearest = np.rint(recall * (len(RECALLS) - 1)).astype(np.int64)
    return np.asarray(nearest + (RECALLS[nearest] <= recall), np.float64)
