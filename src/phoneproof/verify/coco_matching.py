"""Which detections are true positives: COCO's matching, kept in a form that can be resampled.

The rules are those of the COCO evaluation (T.-Y. Lin et al., "Microsoft COCO: Common Objects in
Context", ECCV 2014; its reference evaluation): at most 100 detections of a class an image, best
score first; each takes the free labelled box of highest IoU that reaches the threshold; crowd
regions and boxes outside the area range are neither found nor missed, and what matches nothing
but these is neither right nor wrong. Equality with faster-coco-eval is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.decode.results import Detections
from phoneproof.verify.matching import Float64, Index, areas, intersections, iou

Bool = NDArray[np.bool_]

IOU_THRESHOLDS: Final[Float64] = np.linspace(0.5, 0.95, 10)
MAX_DETECTIONS: Final = 100
AreaRange = tuple[float, float]
ALL_AREAS: Final[AreaRange] = (0.0, 1e5**2)
SMALL_AREAS: Final[AreaRange] = (0.0, 32.0**2)
"""Square pixels of the original, both ends included."""

_NEARLY_ONE: Final = 1.0 - 1e-10


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """Labelled boxes of one image: float64 [G, 4] xyxy pixels, int64 [G], bool [G]."""

    boxes: Float64
    labels: Index
    crowd: Bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassMatches:
    """All detections of one class over the data set, best score first.

    image: int64 [N], positions of images. hit, ignored: bool [10, N], one row an IoU threshold.
    objects: float64 [images], labelled boxes that count.
    """

    label: int
    image: Index
    hit: Bool
    ignored: Bool
    objects: Float64


@dataclass(frozen=True, kw_only=True, slots=True)
class _ImageMatches:
    scores: NDArray[np.float32]
    hit: Bool
    ignored: Bool
    objects: int


def match_classes(
    truths: Sequence[Truth], detections: Sequence[Detections], area: AreaRange = ALL_AREAS
) -> tuple[ClassMatches, ...]:
    """Matches of every class that has a labelled box that counts."""
    labels = sorted({int(label) for truth in truths for label in truth.labels})
    matched = (_match_class(label, truths, detections, area) for label in labels)
    return tuple(one for one in matched if one.objects.any())


def _match_class(
    label: int, truths: Sequence[Truth], detections: Sequence[Detections], area: AreaRange
) -> ClassMatches:
    parts = [
        _match_image(label, truth, found, area)
        for truth, found in zip(truths, detections, strict=True)
    ]
    scores = np.concatenate([part.scores for part in parts])
    # Stable: equal scores stay in the order of the images, as in COCO.
    order = np.argsort(-scores, kind="stable")
    image = np.repeat(np.arange(len(parts)), [len(part.scores) for part in parts])
    return ClassMatches(
        label=label,
        image=image[order],
        hit=np.concatenate([part.hit for part in parts], axis=1)[:, order],
        ignored=np.concatenate([part.ignored for part in parts], axis=1)[:, order],
        objects=np.array([part.objects for part in parts], np.float64),
    )


def _match_image(label: int, truth: Truth, found: Detections, area: AreaRange) -> _ImageMatches:
    of_class = np.flatnonzero(found.classes == label)
    order = np.argsort(-found.scores[of_class], kind="stable")[:MAX_DETECTIONS]
    boxes, scores = found.boxes[of_class][order], found.scores[of_class][order]
    labelled = truth.labels == label
    truth_boxes, crowd = truth.boxes[labelled], truth.crowd[labelled]
    out = crowd | ~_within(areas(truth_boxes), area)
    hit = np.zeros((len(IOU_THRESHOLDS), len(boxes)), np.bool_)
    ignored = hit.copy()
    if len(boxes) and len(truth_boxes):
        _match(_overlaps(boxes, truth_boxes, crowd), out, crowd, hit, ignored)
    ignored |= ~hit & ~_within(areas(boxes), area)
    return _ImageMatches(scores=scores, hit=hit, ignored=ignored, objects=int((~out).sum()))


def _within(sizes: Float64, area: AreaRange) -> Bool:
    return (sizes >= area[0]) & (sizes <= area[1])


def _overlaps(boxes: NDArray[np.float32], truth: Float64, crowd: Bool) -> Float64:
    """IoU [N, G]; against a crowd region the share of the detection that lies inside it."""
    overlap = iou(boxes, truth)
    if crowd.any():
        own = areas(boxes)[:, None]
        inside = intersections(boxes, truth[crowd])
        overlap[:, crowd] = np.divide(inside, own, out=np.zeros_like(inside), where=own > 0)
    return overlap


def _match(overlap: Float64, out: Bool, crowd: Bool, hit: Bool, ignored: Bool) -> None:
    """Fill `hit` and `ignored` [10, N]; all IoU thresholds at once, detections in order."""
    limits = np.minimum(IOU_THRESHOLDS, _NEARLY_ONE)
    free = np.ones((len(limits), len(out)), np.bool_)
    rows = np.arange(len(limits))
    for d in np.flatnonzero(overlap.max(axis=1) >= limits[0]):
        reached = (overlap[d][None] >= limits[:, None]) & (free | crowd)
        counting = reached & ~out
        real = counting.any(axis=1)
        allowed = np.where(real[:, None], counting, reached)
        some = allowed.any(axis=1)
        # Of equal overlaps COCO takes the last.
        values = np.where(allowed, overlap[d][None], -1.0)[:, ::-1]
        best = len(out) - 1 - values.argmax(axis=1)
        free[rows[some], best[some]] = False
        hit[:, d] = real
        ignored[:, d] = some & ~real
