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
class _Flat:
    """The detections of all images that count, by image and within it by class, best first.

    image, label: int64 [N]. boxes: [N, 4]. hit, ignored: bool [10, N], filled by the matching.
    starts: int64 [images + 1], where each image begins.
    """

    image: Index
    label: Index
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    hit: Bool
    ignored: Bool
    starts: Index


def match_classes(
    truths: Sequence[Truth], detections: Sequence[Detections], area: AreaRange = ALL_AREAS
) -> tuple[ClassMatches, ...]:
    """Matches of every class that has a labelled box that counts."""
    flat = _flatten(detections, area)
    labels = sorted({int(label) for truth in truths for label in truth.labels})
    objects = {label: np.zeros(len(truths)) for label in labels}
    for image, truth in enumerate(truths):
        for label in set(truth.labels.tolist()):
            objects[label][image] = _match_image(flat, image, label, truth, area)
    return tuple(_of_class(flat, label, objects[label]) for label in labels if objects[label].any())


def _flatten(detections: Sequence[Detections], area: AreaRange) -> _Flat:
    kept = [_best_of_each_class(found) for found in detections]
    counts = [len(items) for items in kept]
    pairs = list(zip(detections, kept, strict=True))
    boxes = np.concatenate([np.empty((0, 4), np.float32), *(d.boxes[k] for d, k in pairs)])
    shape = (len(IOU_THRESHOLDS), len(boxes))
    return _Flat(
        image=np.repeat(np.arange(len(kept)), counts),
        label=np.concatenate([np.empty(0, np.int64), *(d.classes[k] for d, k in pairs)]),
        boxes=boxes,
        scores=np.concatenate([np.empty(0, np.float32), *(d.scores[k] for d, k in pairs)]),
        hit=np.zeros(shape, np.bool_),
        ignored=np.tile(~_within(areas(boxes), area), (shape[0], 1)),
        starts=np.cumsum([0, *counts]),
    )


def _best_of_each_class(found: Detections) -> Index:
    """Positions by class, then by score, at most 100 a class."""
    order = np.lexsort((-found.scores, found.classes))
    classes = found.classes[order]
    rank = np.arange(len(order)) - np.searchsorted(classes, classes)
    return np.asarray(order[rank < MAX_DETECTIONS], np.int64)


def _match_image(flat: _Flat, image: int, label: int, truth: Truth, area: AreaRange) -> int:
    """Match one class of one image into `flat`; how many labelled boxes count."""
    labelled = truth.labels == label
    boxes, crowd = truth.boxes[labelled], truth.crowd[labelled]
    out = crowd | ~_within(areas(boxes), area)
    begin, end = flat.starts[image], flat.starts[image + 1]
    first, last = begin + np.searchsorted(flat.label[begin:end], [label, label + 1])
    if last > first:
        own = slice(int(first), int(last))
        overlap = _overlaps(flat.boxes[own], boxes, crowd)
        hit, excused = _match(overlap, out, crowd)
        flat.hit[:, own] = hit
        # A detection of the wrong size is only excused while it finds nothing.
        flat.ignored[:, own] = excused | (flat.ignored[:, own] & ~hit)
    return int((~out).sum())


def _of_class(flat: _Flat, label: int, objects: Float64) -> ClassMatches:
    items = np.flatnonzero(flat.label == label)
    # Stable: equal scores stay in the order of the images, as in COCO.
    items = items[np.argsort(-flat.scores[items], kind="stable")]
    return ClassMatches(
        label=label,
        image=flat.image[items],
        hit=flat.hit[:, items],
        ignored=flat.ignored[:, items],
        objects=objects,
    )


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


def _match(overlap: Float64, out: Bool, crowd: Bool) -> tuple[Bool, Bool]:
    """Detections in order, all IoU thresholds at once.

    Returns:
        bool [10, N] each: which hit a labelled box, which took one that does not count.
    """
    limits = np.minimum(IOU_THRESHOLDS, _NEARLY_ONE)
    hit = np.zeros((len(limits), len(overlap)), np.bool_)
    excused = hit.copy()
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
        excused[:, d] = some & ~real
    return hit, excused
