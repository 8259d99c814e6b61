"""Core ML's non-maximum suppression as its documentation has it, for what is not a Mac."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.formats.coreml.nms import Suppression

_HALF: Final = 0.5


def suppressed(
    confidence: NDArray[Any], coordinates: NDArray[Any], what: Suppression
) -> NDArray[np.int64]:
    """Rows that are kept, best first, as ``NonMaximumSuppression.proto`` (PickTop) describes it.

    Boxes below the confidence threshold go first. Of the others the best is kept, and those whose
    IoU with it is above the limit go (at 1 none does), of its own best class alone where that is
    asked for; then the best of what is left. Equal confidences keep the order of their rows.

    Args:
        confidence: float [N, classes]. coordinates: float [N, 4], centre and sides.
    """
    best = confidence.max(axis=1)
    rows = np.flatnonzero(best >= what.confidence)
    rows = rows[np.argsort(-best[rows], kind="stable")]
    classes = confidence[rows].argmax(axis=1)
    centres, sides = np.split(coordinates[rows].astype(np.float64), 2, axis=1)
    corners = np.concatenate([centres - sides * _HALF, centres + sides * _HALF], axis=1)
    alive = np.ones(len(rows), np.bool_)
    kept: list[int] = []
    for place in range(len(rows)):
        if not alive[place]:
            continue
        kept.append(place)
        near = _iou(corners[place], corners) > what.iou
        if what.per_class:
            near &= classes == classes[place]
        alive &= ~near
    return rows[kept]


def _iou(one: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 [N]; of two empty boxes 0."""
    inner = np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2])
    shared = np.prod(np.maximum(inner, 0.0), axis=1)
    areas = np.prod(np.maximum(others[:, 2:] - others[:, :2], 0.0), axis=1)
    union = areas + np.prod(np.maximum(one[2:] - one[:2], 0.0)) - shared
    found: NDArray[np.float64] = np.zeros_like(union)
    np.divide(shared, union, out=found, where=union > 0)
    return found
