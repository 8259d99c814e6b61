"""Greedy non-maximum suppression, the same on every platform.

Float32 throughout. Candidates are taken by score descending, equal scores by index. A candidate
is dropped when its IoU with a kept one of the same class (of any class when agnostic) is greater
than the limit: ``inter / (area_a + area_b - inter)``, sides without +1, negative sides count as
0, and an empty union has IoU 0. Classes are compared, never moved apart by an offset: an offset
of thousands of pixels costs coordinates several bits of their float32 fraction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.contract import Nms
from phoneproof.decode.results import Float, Index

_ZERO = np.float32(0)


def nms(boxes: Float, scores: Float, classes: Index, settings: Nms) -> Index:
    """Indices of the kept candidates, best first, at most `settings.max_detections`.

    Args:
        boxes: float32 [N, 4] xyxy in pixels, finite.
        scores: float32 [N], finite.
        classes: int64 [N].
        settings: only the best `pre_top_k` candidates take part.
    """
    order = best_first(scores, settings.pre_top_k)
    groups = np.zeros(len(order), np.int64) if settings.class_agnostic else classes[order]
    kept = _greedy(boxes[order], groups, np.float32(settings.iou), settings.max_detections)
    return order[kept]


def best_first(scores: Float, limit: int) -> Index:
    """Indices of the `limit` highest scores, descending; equal scores by index."""
    chosen = highest(scores, limit)
    return chosen[np.argsort(-scores[chosen], kind="stable")]


def highest(scores: Float, limit: int) -> Index:
    """Indices of the `limit` highest scores in ascending order; of equal scores the first."""
    if len(scores) <= limit:
        return np.arange(len(scores))
    cut = np.partition(scores, len(scores) - limit)[len(scores) - limit]
    above = np.flatnonzero(scores > cut)
    ties = np.flatnonzero(scores == cut)[: limit - len(above)]
    return np.sort(np.concatenate([above, ties]))


def _greedy(boxes: Float, groups: Index, limit: np.float32, most: int) -> list[int]:
    """Positions of the kept ones among candidates that are already in order of rank."""
    lanes = _Lanes.of(boxes, groups)
    alive = np.ones(len(boxes), np.bool_)
    kept: list[int] = []
    position = 0
    while position < len(boxes) and len(kept) < most:
        position += int(alive[position:].argmax())
        if not alive[position]:
            break
        kept.append(position)
        alive[lanes.overlapping(position, limit)] = False
        position += 1
    return kept


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lanes:
    """Candidates regrouped so that each class is one contiguous run, best first.

    What a kept box can suppress is then a plain slice: the rest of its run.
    """

    ranks: Index
    """[N] position in rank order of each place."""
    place: Index
    """[N] the inverse: place of each position."""
    end: Index
    """[N] where the run of each place ends."""
    edges: Float
    """[4, N] x1, y1, x2, y2."""
    area: Float

    @classmethod
    def of(cls, boxes: Float, groups: Index) -> _Lanes:
        ranks = np.argsort(groups, kind="stable")
        place = np.empty_like(ranks)
        place[ranks] = np.arange(len(ranks))
        run = groups[ranks]
        edges = np.ascontiguousarray(boxes[ranks].T)
        with np.errstate(over="ignore"):
            area = np.maximum(edges[2] - edges[0], _ZERO) * np.maximum(edges[3] - edges[1], _ZERO)
        end = np.searchsorted(run, run, side="right")
        return cls(ranks=ranks, place=place, end=end, edges=edges, area=area)

    def overlapping(self, position: int, limit: np.float32) -> Index:
        """Positions of lower rank in the same run whose IoU with `position` is over `limit`."""
        here = int(self.place[position])
        rest = slice(here + 1, int(self.end[here]))
        hits: NDArray[np.bool_] = self._iou(here, rest) > limit
        return self.ranks[rest][hits]

    def _iou(self, here: int, rest: slice) -> Float:
        left, top, right, bottom = self.edges
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            width = np.minimum(right[rest], right[here]) - np.maximum(left[rest], left[here])
            height = np.minimum(bottom[rest], bottom[here]) - np.maximum(top[rest], top[here])
            inter = np.maximum(width, _ZERO) * np.maximum(height, _ZERO)
            # 0 / 0 of two empty boxes is NaN, and NaN is over no limit: IoU 0.
            iou: Float = inter / (self.area[rest] + self.area[here] - inter)
        return iou
