"""Which detection of one model is which of another: IoU and one-to-one matching."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phoneproof.decode.results import Detections

Float64 = NDArray[np.float64]
Index = NDArray[np.int64]
Bool = NDArray[np.bool_]

UNMATCHED = -1


def areas(boxes: NDArray[Any]) -> Float64:
    """Areas of xyxy boxes [N, 4] -> float64 [N], square pixels, no +1; inverted boxes are 0."""
    sides = np.maximum(boxes[:, 2:].astype(np.float64) - boxes[:, :2], 0.0)
    return np.asarray(sides[:, 0] * sides[:, 1], np.float64)


def intersections(first: NDArray[Any], second: NDArray[Any]) -> Float64:
    """Pairwise intersection areas of xyxy boxes [N, 4], [M, 4] -> float64 [N, M]."""
    a, b = first.astype(np.float64)[:, None], second.astype(np.float64)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    np.maximum(sides, 0.0, out=sides)
    return np.asarray(sides[..., 0] * sides[..., 1], np.float64)


def iou(first: NDArray[Any], second: NDArray[Any]) -> Float64:
    """Pairwise intersection over union of xyxy boxes [N, 4], [M, 4] -> float64 [N, M]."""
    shared = intersections(first, second)
    union = areas(first)[:, None] + areas(second)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def corner_distance(first: NDArray[Any], second: NDArray[Any]) -> Float64:
    """Pairwise largest difference of a coordinate, pixels, float64 [N, M]."""
    difference = np.abs(first.astype(np.float64)[:, None] - second.astype(np.float64)[None])
    return np.asarray(difference.max(axis=2, initial=0.0), np.float64)


def same_class(first: Detections, second: Detections) -> NDArray[np.bool_]:
    """Whether classes are equal, pairwise, bool [N, M]."""
    return np.asarray(first.classes[:, None] == second.classes[None], np.bool_)


def match_one_to_one(cost: Float64, allowed: NDArray[np.bool_]) -> Index:
    """Greedy assignment: each row in turn takes the cheapest allowed column that is left.

    Rows are ordered by score, so the surest detection chooses first, as in NMS and COCO.

    Returns:
        int64 [N]: the column of each row, or UNMATCHED.
    """
    columns = np.full(len(cost), UNMATCHED, np.int64)
    if cost.size == 0:
        return columns
    left = np.where(allowed, cost, np.inf)
    for row in range(len(cost)):
        best = int(left[row].argmin())
        if np.isfinite(left[row, best]):
            columns[row] = best
            left[:, best] = np.inf
    return columns
