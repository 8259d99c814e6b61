"""What the training recorded in the file, beside the same figure measured here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Final

import numpy as np

from phoneproof.core.capture import Hazard
from phoneproof.core.check import CheckName
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.core.preflight import RecordedMetric
from phoneproof.decode.labels import ranking
from phoneproof.decode.results import Classification, Detections
from phoneproof.runtimes.predict import Prediction
from phoneproof.verify.average_precision import bootstrap_precision
from phoneproof.verify.coco_matching import Truth, match_classes
from phoneproof.verify.detection_metrics import coco_figures, truth_of
from phoneproof.verify.statistics import (
    Estimate,
    binomial,
    bootstrap_estimate,
)

RECORDED_NAMES: Final = MappingProxyType(
    {
        "metrics/accuracy_top1": "top1",
        "metrics/accuracy_top5": "top5",
        "metrics/mAP50(B)": "map50",
        "metrics/mAP50-95(B)": "map50_95",
        "metrics/mAP_0.5": "map50",
        "metrics/mAP_0.5:0.95": "map50_95",
        "val_accuracy": "top1",
        "val_acc": "top1",
        "best_prec1": "top1",
        "best_acc1": "top1",
    }
)
"""Keys of Ultralytics 8, YOLOv5, Keras' history and PyTorch's example trainers."""

_PERCENT: Final = ("best_prec1", "best_acc1")
"""Their trainers count in percent, which is only visible where the value is above 1."""

SAME_SIZE: Final = math.sqrt(2.0)
"""Recorded on as many other images, a figure wanders by as much again: sqrt(2) in all."""


def recorded_metrics(
    recorded: tuple[tuple[str, float], ...],
    predictions: Iterable[Prediction],
    images: ImageSet,
    contract: Contract,
) -> tuple[RecordedMetric, ...]:
    """Every recorded metric that can be measured here, in the order of the file.

    Args:
        recorded: `Evidence.metrics`.
        predictions: of `images`, in their order, detections with those of mAP.
        images: without labels on every one nothing can be measured.

    Returns:
        Empty where nothing was recorded, nothing is labelled or the task has no such metric.
    """
    wanted = [(key, name) for key, _ in recorded if (name := RECORDED_NAMES.get(key)) is not None]
    if not wanted or not images.labelled:
        return ()
    measured = _measured(predictions, images, contract)
    values = dict(recorded)
    return tuple(
        _compare(key, name, _share(key, values[key]), measured[name], len(images.items))
        for key, name in wanted
        if name in measured
    )


def recorded_hazards(metrics: tuple[RecordedMetric, ...]) -> tuple[Hazard, ...]:
    """One for each recorded value that the measurement here does not explain."""
    return tuple(
        Hazard(
            name="recorded_metric_differs",
            found=metric.sentence,
            next_step="another data set than the training's explains it; else look at the "
            "contract: size, channel order, scale and labels must be those of the training",
            severity="warning" if _is_far(metric) else "note",
        )
        for metric in metrics
        if not metric.agrees
    )


def _is_far(metric: RecordedMetric) -> bool:
    """Too far also for a value recorded on as many other images of the same kind."""
    lower, upper = metric.bounds
    widest = metric.measured - SAME_SIZE * (metric.measured - lower)
    highest = metric.measured + SAME_SIZE * (upper - metric.measured)
    return not widest <= metric.recorded <= highest


def _share(key: str, value: float) -> float:
    return value / 100.0 if key in _PERCENT and value > 1.0 else value


def _compare(key: str, name: str, recorded: float, found: Estimate, n: int) -> RecordedMetric:
    agrees = found.lower <= recorded <= found.upper
    verdict = "agrees" if agrees else "the recorded value lies outside"
    check: CheckName = _CHECK_NAMES[name]
    return RecordedMetric(
        key=key,
        name=check,
        recorded=recorded,
        measured=found.value,
        bounds=(found.lower, found.upper),
        n=n,
        agrees=agrees,
        sentence=f"{name}: recorded {recorded:.3f}; measured {found.value:.3f} "
        f"[{found.lower:.3f}, {found.upper:.3f}], n = {n}: {verdict}",
    )


_CHECK_NAMES: Final[dict[str, CheckName]] = {
    "top1": "top1",
    "top5": "top5",
    "map50": "map50",
    "map50_95": "map50_95",
}


def _measured(
    predictions: Iterable[Prediction], images: ImageSet, contract: Contract
) -> dict[str, Estimate]:
    if contract.task == "classify":
        return _accuracy(predictions, images, contract)
    return _precision(predictions, images) if contract.task == "detect" else {}


def _accuracy(
    predictions: Iterable[Prediction], images: ImageSet, contract: Contract
) -> dict[str, Estimate]:
    first = five = n = 0
    for item, one in zip(images.items, predictions, strict=True):
        if isinstance(one.app, Classification) and item.label is not None:
            best = [int(index) for index in ranking(one.app, contract)[:5]]
            first += best[:1] == [item.label]
            five += item.label in best
            n += 1
    return {"top1": binomial(first, n), "top5": binomial(five, n)} if n else {}


def _precision(predictions: Iterable[Prediction], images: ImageSet) -> dict[str, Estimate]:
    truths: list[Truth] = []
    found: list[Detections] = []
    for truth, detections in _labelled_boxes(predictions, images):
        truths.append(truth)
        found.append(detections)
    if not any(len(truth.labels) for truth in truths):
        return {}
    figures = coco_figures(truths, found)
    replicates = bootstrap_precision(match_classes(truths, found), len(truths))
    return {
        "map50": _estimate(figures.map50, replicates[0], len(truths)),
        "map50_95": _estimate(figures.map50_95, replicates.mean(axis=0), len(truths)),
    }


def _estimate(
    value: float, replicates: np.ndarray[tuple[int, ...], np.dtype[np.float64]], n: int
) -> Estimate:
    return bootstrap_estimate(value, replicates[np.isfinite(replicates)], n)


def _labelled_boxes(
    predictions: Iterable[Prediction], images: ImageSet
) -> Iterator[tuple[Truth, Detections]]:
    for item, one in zip(images.items, predictions, strict=True):
        if item.boxes is not None and isinstance(one.metric, Detections):
            yield truth_of(item, one.height, one.width), one.metric
