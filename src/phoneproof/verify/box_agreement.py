"""box_agreement: the same boxes, one by one, with the baseline's own ties set aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from phoneproof.core.check import Check
from phoneproof.core.contract import Contract, Nms
from phoneproof.decode.results import Detections
from phoneproof.verify.evidence import ImageValue, Setting, bounded_check, worst_images
from phoneproof.verify.limits import Limits
from phoneproof.verify.matching import (
    UNMATCHED,
    Bool,
    Index,
    corner_distance,
    iou,
    match_one_to_one,
    same_class,
)

NMS_TIE_IOU: Final = 0.01
"""A box whose IoU with a better one is this close to the NMS limit may be kept by one runtime and
suppressed by another: float32 moves a corner by 1e-2 pixels at most, an IoU by well under .01."""

MAX_SWAP_SHARE: Final = 0.1
"""Swaps (see `compare_boxes`) are read off the results, so displaced boxes look like swaps too.
By chance they are a few in a hundred; where more than this share are swaps, they are no chance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AgreementRow:
    """Detections of one image: matched pairs, items without a partner, and excused items.

    swaps: pairs of nearly equal scores of which NMS kept the other one. score_difference: the
    largest among matched pairs.
    """

    name: str
    sha256: str
    matched: int
    missing: int
    extra: int
    ties: int
    swaps: int
    score_difference: float


def compare_boxes(
    name: str,
    sha256: str,
    baseline: Detections,
    candidate: Detections,
    baseline_metric: Detections,
    contract: Contract,
    limits: Limits,
) -> AgreementRow:
    """Whether two models show the same boxes on one image.

    Items without a partner are excused where the baseline itself decides by a hair, that is by
    less than twice the tolerance of a score:

    - tie: the score lies beside the threshold, a better box's IoU beside the NMS limit, or
      another class of the same box (see `baseline_metric`) is as probable;
    - swap: a missing and an extra box that suppress each other and score the same: a tie of NMS.
    """
    distance = corner_distance(baseline.boxes, candidate.boxes)
    near = same_class(baseline, candidate) & (distance <= limits.box_pixels)
    columns = match_one_to_one(distance, near)
    missing = np.flatnonzero(columns == UNMATCHED)
    extra = np.setdiff1d(np.arange(len(candidate.scores)), columns)
    missing_ties = _ties(baseline, missing, baseline_metric, contract, limits)
    extra_ties = _ties(candidate, extra, baseline_metric, contract, limits)
    missing, extra = missing[~missing_ties], extra[~extra_ties]
    swaps = _count_swaps(baseline, missing, candidate, extra, contract, limits)
    return AgreementRow(
        name=name,
        sha256=sha256,
        matched=int((columns != UNMATCHED).sum()),
        missing=len(missing) - swaps,
        extra=len(extra) - swaps,
        ties=int(missing_ties.sum() + extra_ties.sum()),
        swaps=swaps,
        score_difference=_score_difference(baseline, candidate, columns),
    )


def _score_difference(baseline: Detections, candidate: Detections, columns: Index) -> float:
    matched = np.flatnonzero(columns != UNMATCHED)
    before = baseline.scores[matched].astype(np.float64)
    return float(np.abs(before - candidate.scores[columns[matched]]).max(initial=0.0))


def _clearance(limits: Limits) -> float:
    return 2.0 * limits.probability_tolerance


def _ties(
    detections: Detections,
    items: Index,
    baseline: Detections,
    contract: Contract,
    limits: Limits,
) -> Bool:
    """Which items the baseline decides by a hair, bool [items]."""
    decode = contract.decode
    scores = detections.scores[items].astype(np.float64)
    if decode is None or not len(items):
        return np.zeros(len(items), np.bool_)
    tie = np.asarray(np.abs(scores - decode.confidence) < _clearance(limits), np.bool_)
    if not len(baseline.scores):
        return tie
    overlap = iou(detections.boxes[items], baseline.boxes)
    same = detections.classes[items][:, None] == baseline.classes[None]
    ahead = baseline.scores[None] - scores[:, None]
    if decode.nms is not None:
        tie |= _beside_nms_limit(overlap, same, ahead, decode.nms, limits)
    if not decode.multi_label:
        corners = corner_distance(detections.boxes[items], baseline.boxes)
        rival = ~same & (corners <= limits.box_pixels) & (np.abs(ahead) < _clearance(limits))
        tie |= rival.any(axis=1)
    return tie


def _beside_nms_limit(
    overlap: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    same: Bool,
    ahead: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    nms: Nms,
    limits: Limits,
) -> Bool:
    """Whether a box that comes first in NMS lies at an IoU beside the limit."""
    suppressor = (ahead > -_clearance(limits)) & (same | nms.class_agnostic)
    beside = np.abs(overlap - nms.iou) < NMS_TIE_IOU
    return np.asarray((suppressor & beside).any(axis=1), np.bool_)


def _count_swaps(
    baseline: Detections,
    missing: Index,
    candidate: Detections,
    extra: Index,
    contract: Contract,
    limits: Limits,
) -> int:
    if contract.decode is None or contract.decode.nms is None:
        return 0
    overlap = iou(baseline.boxes[missing], candidate.boxes[extra])
    same = baseline.classes[missing][:, None] == candidate.classes[extra][None]
    gap = np.abs(
        baseline.scores[missing].astype(np.float64)[:, None] - candidate.scores[extra][None]
    )
    allowed = same & (overlap > contract.decode.nms.iou) & (gap < _clearance(limits))
    return int((match_one_to_one(1.0 - overlap, allowed) != UNMATCHED).sum())


def box_agreement_check(setting: Setting, rows: Sequence[AgreementRow], limits: Limits) -> Check:
    """Share of boxes, of either model, that have their partner in the other."""
    matched = sum(row.matched for row in rows)
    swaps = sum(row.swaps for row in rows)
    wrong = sum(row.missing + row.extra for row in rows)
    by_chance = swaps <= MAX_SWAP_SHARE * (matched + swaps)
    n = matched + wrong + (0 if by_chance else 2 * swaps)
    return bounded_check(
        setting,
        "box_agreement",
        matched / n if n else 1.0,
        limits.box_agreement,
        n=n,
        direction="min",
        ties=sum(row.ties for row in rows) + (2 * swaps if by_chance else 0),
        method="boxes under the app's decode, matched one to one within the class, every "
        f"coordinate within {limits.box_pixels:g} px",
        hint="" if n else "no detection on any image: add images that show the objects",
        worst=worst_images(
            ImageValue(name=row.name, sha256=row.sha256, value=float(count), note=_note(row))
            for row in rows
            if (count := row.missing + row.extra + (0 if by_chance else 2 * row.swaps))
        ),
    )


def shown_scores_check(setting: Setting, rows: Sequence[AgreementRow], limits: Limits) -> Check:
    """max_abs of the scores of matched boxes: what an app can see of the scores."""
    seen = [row for row in rows if row.matched]
    return bounded_check(
        setting,
        "max_abs",
        max((row.score_difference for row in seen), default=0.0),
        limits.max_abs,
        n=sum(row.matched for row in seen),
        slice_="shown_scores",
        method="largest difference of the score of a box that both models show",
        worst=worst_images(
            ImageValue(name=row.name, sha256=row.sha256, value=row.score_difference)
            for row in seen
            if row.score_difference
        ),
    )


def _note(row: AgreementRow) -> str:
    moved = f", {row.swaps} moved" if row.swaps else ""
    return f"{row.missing} missing, {row.extra} extra{moved}"
