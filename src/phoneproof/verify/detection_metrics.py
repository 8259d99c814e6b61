"""Detection against the labels: mAP, its drop, and the recall of small objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from phoneproof.core.check import Check, Worst
from phoneproof.core.dataset import ImageItem
from phoneproof.core.errors import MissingExtra
from phoneproof.decode.results import Detections
from phoneproof.verify.average_precision import (
    bootstrap_precision,
    bootstrap_recall,
    mean_average_precision,
    mean_recall,
)
from phoneproof.verify.coco_matching import (
    SMALL_AREAS,
    ClassMatches,
    Truth,
    match_classes,
)
from phoneproof.verify.evidence import (
    ImageValue,
    Setting,
    margin_check,
    shown_check,
    worst_images,
)
from phoneproof.verify.limits import Limits
from phoneproof.verify.statistics import bootstrap_estimate

MAX_ROWS: Final = 500_000
"""Detections given to the library; about 1 GB at its worst moment."""

METHOD: Final = (
    "detections decoded with confidence .001, class-aware NMS at IoU .7, multi-label, 300 kept; "
    "COCO 101-point, at most 100 a class and image"
)
BOOTSTRAP: Final = "2000 paired image bootstraps with a fixed seed, one-sided 95 %"


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionRow:
    """One image: what is labelled, and what both models detect under the decode of mAP."""

    name: str
    sha256: str
    truth: Truth
    baseline: Detections
    candidate: Detections


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanAveragePrecision:
    """COCO figures: IoU .5, mean of .5 to .95, average recall of small objects (-1: none)."""

    map50: float
    map50_95: float
    small_recall: float


def truth_of(item: ImageItem, height: int, width: int) -> Truth:
    """An image's labelled boxes in pixels of the oriented original of height x width."""
    boxes = item.boxes or ()
    scale = np.array([width, height, width, height], np.float64)
    return Truth(
        boxes=np.array([box.xyxy for box in boxes], np.float64).reshape(-1, 4) * scale,
        labels=np.array([box.label for box in boxes], np.int64),
        crowd=np.array([box.crowd for box in boxes], np.bool_),
    )


def coco_figures(truths: Sequence[Truth], detections: Sequence[Detections]) -> MeanAveragePrecision:
    """The figures as faster-coco-eval computes them, in memory and without a word.

    The library wants a dictionary a detection, half a kilobyte each: beyond `MAX_ROWS` detections
    the same figures come from the matches that the bootstrap uses (their equality is tested).

    Raises:
        MissingExtra: faster-coco-eval is not installed.
    """
    if sum(len(found.scores) for found in detections) > MAX_ROWS:
        return matched_figures(truths, detections)
    try:
        from faster_coco_eval import COCO
        from faster_coco_eval.core.faster_eval_api import COCOeval_faster
    except ModuleNotFoundError as error:
        raise MissingExtra.of("faster-coco-eval", "verify") from error
    truth = COCO(_coco_dataset(truths))
    evaluation = COCOeval_faster(truth, truth.loadRes(_coco_rows(detections)), iouType="bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    # [IoU threshold, recall point, class, area range, number of detections]; -1: no such object.
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    recall = evaluation.eval["recall"][:, :, 1, -1]
    return MeanAveragePrecision(
        map50=_mean_known(precision[0]),
        map50_95=_mean_known(precision),
        small_recall=_mean_known(recall),
    )


def matched_figures(
    truths: Sequence[Truth], detections: Sequence[Detections]
) -> MeanAveragePrecision:
    """The same figures from our own matching; memory grows by arrays alone."""
    once = np.ones((len(truths), 1))
    precision = mean_average_precision(match_classes(truths, detections), once)
    recall = mean_recall(match_classes(truths, detections, SMALL_AREAS), once)
    small = float(recall[0])
    return MeanAveragePrecision(
        map50=float(precision[0, 0]),
        map50_95=float(precision.mean()),
        small_recall=-1.0 if np.isnan(small) else small,
    )


def _mean_known(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    known = values[values > -1]
    return float(known.mean()) if known.size else -1.0


def _coco_dataset(truths: Sequence[Truth]) -> dict[str, list[dict[str, object]]]:
    """COCO's annotation layout. Ids start at 1: 0 means "no match" in COCO's evaluation."""
    annotations: list[dict[str, object]] = []
    for image, truth in enumerate(truths, start=1):
        for box, label, crowd in zip(truth.boxes, truth.labels, truth.crowd, strict=True):
            x1, y1, x2, y2 = (float(value) for value in box)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(label) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": int(crowd),
                }
            )
    labels = sorted({int(label) for truth in truths for label in truth.labels})
    return {
        "images": [{"id": image} for image in range(1, len(truths) + 1)],
        "categories": [{"id": label + 1, "name": str(label)} for label in labels],
        "annotations": annotations,
    }


def _coco_rows(detections: Sequence[Detections]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for image, found in enumerate(detections, start=1):
        for box, score, label in zip(found.boxes, found.scores, found.classes, strict=True):
            x1, y1, x2, y2 = (float(value) for value in box)
            rows.append(
                {
                    "image_id": image,
                    "category_id": int(label) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": float(score),
                }
            )
    return rows


def detection_checks(setting: Setting, rows: Sequence[DetectionRow], limits: Limits) -> list[Check]:
    """map50, map50_95 (shown), map50_95_drop and small_recall_drop (gate).

    None where nothing is labelled; no small_recall_drop where no small object is.
    """
    truths = [row.truth for row in rows]
    if not any(len(truth.labels) for truth in truths):
        return []
    before = coco_figures(truths, [row.baseline for row in rows])
    after = coco_figures(truths, [row.candidate for row in rows])
    return [
        *_precision_checks(setting, before, after, len(rows)),
        _map_drop_check(setting, rows, before.map50_95 - after.map50_95, limits),
        *_small_recall_checks(setting, rows, before.small_recall - after.small_recall, limits),
    ]


def precision_checks(setting: Setting, rows: Sequence[DetectionRow]) -> list[Check]:
    """map50 and map50_95 of the baseline alone; none where nothing is labelled."""
    truths = [row.truth for row in rows]
    if not any(len(truth.labels) for truth in truths):
        return []
    figures = coco_figures(truths, [row.baseline for row in rows])
    return _precision_checks(setting, figures, figures, len(rows))


def _precision_checks(
    setting: Setting, before: MeanAveragePrecision, after: MeanAveragePrecision, n: int
) -> list[Check]:
    return [
        shown_check(
            setting, "map50", after.map50, n=n, method=f"baseline {before.map50:.4f}; {METHOD}"
        ),
        shown_check(
            setting,
            "map50_95",
            after.map50_95,
            n=n,
            method=f"baseline {before.map50_95:.4f}; {METHOD}",
        ),
    ]


def _map_drop_check(
    setting: Setting, rows: Sequence[DetectionRow], drop: float, limits: Limits
) -> Check:
    truths = [row.truth for row in rows]
    before = match_classes(truths, [row.baseline for row in rows])
    after = match_classes(truths, [row.candidate for row in rows])
    n = len(rows)
    replicates = (bootstrap_precision(before, n) - bootstrap_precision(after, n)).mean(axis=0)
    return margin_check(
        setting,
        "map50_95_drop",
        bootstrap_estimate(drop, replicates[np.isfinite(replicates)], len(rows)),
        limits.map50_95_drop,
        n=len(rows),
        method=f"{METHOD}; {BOOTSTRAP}",
        worst=_fewer_objects(rows, before, after),
    )


def _small_recall_checks(
    setting: Setting, rows: Sequence[DetectionRow], drop: float, limits: Limits
) -> list[Check]:
    truths = [row.truth for row in rows]
    before = match_classes(truths, [row.baseline for row in rows], SMALL_AREAS)
    after = match_classes(truths, [row.candidate for row in rows], SMALL_AREAS)
    if not before:
        return []
    replicates = bootstrap_recall(before, len(rows)) - bootstrap_recall(after, len(rows))
    objects = sum(int(matches.objects.sum()) for matches in before)
    return [
        margin_check(
            setting,
            "small_recall_drop",
            bootstrap_estimate(drop, replicates[np.isfinite(replicates)], len(rows)),
            limits.small_recall_drop,
            n=len(rows),
            slice_="small",
            method=f"COCO average recall of {objects} labelled objects under 32 x 32 px; "
            f"{METHOD}; {BOOTSTRAP}",
            worst=_fewer_objects(rows, before, after),
        )
    ]


def _fewer_objects(
    rows: Sequence[DetectionRow],
    before: Sequence[ClassMatches],
    after: Sequence[ClassMatches],
) -> tuple[Worst, ...]:
    """Images where fewer labelled objects are found, counted at IoU .5 or as mean over IoUs."""
    fewer = np.zeros(len(rows))
    for sign, classes in ((1.0, before), (-1.0, after)):
        for one in classes:
            found = one.hit.mean(axis=0)
            fewer += sign * np.bincount(one.image, weights=found, minlength=len(rows))
    return worst_images(
        ImageValue(
            name=row.name,
            sha256=row.sha256,
            value=float(value),
            note="labelled objects no longer found, mean over IoU .5 to .95",
        )
        for row, value in zip(rows, fewer, strict=True)
        if value > 1e-9
    )
