"""Suppression of boxes inside a program."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from phoneproof.runtimes.backends.mil_torch.call import Call, Operator

_NO_BOX: Final = -1
"""The index in places that no box fills."""


def non_maximum_suppression(call: Call, /) -> tuple[Tensor, ...]:
    """Boxes (centre x, y, width, height) by falling score, without those that overlap better ones.

    A box's score is its best class's; with ``per_class_suppression`` only boxes of the same best
    class suppress each other. Two generations: iOS 15 has boxes as rows, a score threshold and
    the count as fourth output; iOS 17 has boxes as columns and neither.
    """
    boxes, scores = call.tensor("boxes"), call.tensor("scores")
    columns = not call.has("score_threshold")
    if columns:
        boxes, scores = boxes.transpose(1, 2), scores.transpose(1, 2)
    most = call.integer("max_boxes")
    if call.shapes_only:
        return _shaped(boxes, scores, most, columns)
    images = [_of_image(call, b, s, most) for b, s in zip(boxes, scores, strict=True)]
    kept_boxes, kept_scores, indices, counts = (
        torch.stack(list(parts)) for parts in zip(*images, strict=True)
    )
    if columns:
        return kept_boxes.transpose(1, 2), kept_scores.transpose(1, 2), indices
    return kept_boxes, kept_scores, indices, counts


def _shaped(boxes: Tensor, scores: Tensor, most: int, columns: bool) -> tuple[Tensor, ...]:
    n, classes = int(boxes.shape[0]), int(scores.shape[2])
    shapes = [(n, most, 4), (n, most, classes), (n, most), (n,)]
    if columns:
        shapes = [(n, 4, most), (n, classes, most), (n, most)]
    return tuple(torch.empty(shape, device="meta") for shape in shapes)


def _of_image(call: Call, boxes: Tensor, scores: Tensor, most: int) -> tuple[Tensor, ...]:
    best, classes = scores.max(dim=1)
    least = call.real("score_threshold", -math.inf)
    order = torch.sort(best, descending=True, stable=True).indices
    order = order[best[order] >= least]
    chosen = _survivors(call, boxes, classes, order, most)
    room = most - len(chosen)
    picked = torch.tensor(chosen, dtype=torch.long)
    indices = torch.cat([picked, torch.full((room,), _NO_BOX)])
    return (
        torch.cat([boxes[picked], boxes.new_zeros(room, 4)]),
        torch.cat([scores[picked], scores.new_zeros(room, scores.shape[1])]),
        indices,
        torch.tensor(len(chosen)),
    )


def _survivors(call: Call, boxes: Tensor, classes: Tensor, order: Tensor, most: int) -> list[int]:
    half = boxes[:, 2:] / 2
    low, high = boxes[:, :2] - half, boxes[:, :2] + half
    areas = (high - low).prod(dim=1)
    overlap, apart = call.real("iou_threshold"), call.flag("per_class_suppression")
    chosen: list[int] = []
    while len(order) and len(chosen) < most:
        first, order = int(order[0]), order[1:]
        chosen.append(first)
        corners = torch.minimum(high[first], high[order]) - torch.maximum(low[first], low[order])
        shared = corners.clamp(min=0).prod(dim=1)
        union = areas[first] + areas[order] - shared
        gone = torch.where(union > 0, shared / union, torch.zeros_like(union)) > overlap
        if apart:
            gone &= classes[order] == classes[first]
        order = order[~gone]
    return chosen


DETECTION: Mapping[str, Operator] = {"non_maximum_suppression": non_maximum_suppression}
