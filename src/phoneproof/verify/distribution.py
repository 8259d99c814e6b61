"""What an app notices while mAP stays the same: scores that move, clear detections that go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phoneproof.core.check import Check
from phoneproof.core.tolerances import FLOAT_BOX_PIXELS, LOST_CLEARANCE, MATCH_IOU
from phoneproof.decode.results import Detections
from phoneproof.verify.evidence import ImageValue, Setting, margin_check, worst_images
from phoneproof.verify.limits import Limits
from phoneproof.verify.matching import (
    UNMATCHED,
    Index,
    areas,
    corner_distance,
    iou,
    match_one_to_one,
    same_class,
)
from phoneproof.verify.statistics import binomial, ratio_estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreRow:
    """Detections of one image that the app shows with the baseline.

    pairs: (baseline, candidate) scores of those found again, at whatever score. clear: how many
    were well above the threshold; lost: how many of these the candidate's app no longer shows.
    flicker: the same for the rest.
    """

    name: str
    sha256: str
    pairs: tuple[tuple[float, float], ...]
    clear: int
    lost: int
    flicker: int


def compare_scores(
    name: str,
    sha256: str,
    baseline: Detections,
    candidate: Detections,
    candidate_metric: Detections,
    confidence: float,
) -> ScoreRow:
    """Match the baseline's app detections first in what the candidate's app shows, then wider.

    A detection is gone when the candidate's app shows no such object: the same class at an IoU of
    at least .5. Its new score, for the mean change, is then looked up among the detections under
    the decode of mAP, which still hold those that fell below the app's threshold: leaving these
    out would hide the very change that is measured.
    """
    shown = match_detections(baseline, candidate)
    after = np.full(len(shown), np.nan, np.float32)
    after[shown != UNMATCHED] = candidate.scores[shown[shown != UNMATCHED]]
    hidden = np.flatnonzero(shown == UNMATCHED)
    wider = match_detections(_subset(baseline, hidden), candidate_metric)
    after[hidden[wider != UNMATCHED]] = candidate_metric.scores[wider[wider != UNMATCHED]]
    found = ~np.isnan(after)
    gone = shown == UNMATCHED
    clear = baseline.scores >= confidence + LOST_CLEARANCE
    return ScoreRow(
        name=name,
        sha256=sha256,
        pairs=tuple(
            (float(b), float(c)) for b, c in zip(baseline.scores[found], after[found], strict=True)
        ),
        clear=int(clear.sum()),
        lost=int((clear & gone).sum()),
        flicker=int((~clear & gone).sum()),
    )


def match_detections(baseline: Detections, candidate: Detections) -> Index:
    """The candidate's detection of the same object (same class, IoU >= .5) for each of the
    baseline's, one to one, int64 [N]; UNMATCHED where there is none.
    """
    overlap = iou(baseline.boxes, candidate.boxes)
    # Boxes beside the picture are clipped to no area: they overlap nothing, not even themselves.
    flat = (areas(baseline.boxes) == 0)[:, None] & (areas(candidate.boxes) == 0)[None]
    here = corner_distance(baseline.boxes, candidate.boxes) <= FLOAT_BOX_PIXELS
    overlap = np.where(flat & here, 1.0, overlap)
    allowed = same_class(baseline, candidate) & (overlap >= MATCH_IOU)
    return match_one_to_one(1.0 - overlap, allowed)


def _subset(detections: Detections, items: Index) -> Detections:
    return Detections(
        boxes=detections.boxes[items],
        scores=detections.scores[items],
        classes=detections.classes[items],
    )


def score_shift_check(setting: Setting, rows: Sequence[ScoreRow], limits: Limits) -> Check:
    """Mean signed change of the scores of matched detections."""
    sums = np.array([sum(c - b for b, c in row.pairs) for row in rows], np.float64)
    counts = np.array([len(row.pairs) for row in rows], np.float64)
    return margin_check(
        setting,
        "score_shift",
        ratio_estimate(sums, counts),
        limits.score_shift,
        n=int(counts.sum()),
        units_per_image=1.0,  # the bootstrap resamples images already
        two_sided=True,
        unit="score",
        method=f"mean change of the score of matched detections (same class, IoU >= {MATCH_IOU}); "
        "its magnitude is judged; 2000 image bootstraps",
        worst=worst_images(
            ImageValue(name=row.name, sha256=row.sha256, value=abs(total) / len(row.pairs))
            for row, total in zip(rows, sums.tolist(), strict=True)
            if row.pairs and total
        ),
    )


def lost_share_check(
    setting: Setting,
    rows: Sequence[ScoreRow],
    confidence: float,
    limits: Limits,
    shown_at: float | None = None,
) -> Check:
    """Share of clear detections that the app would no longer show.

    confidence: the contract's threshold. shown_at: the candidate's own; null: the same.
    """
    own = shown_at is not None and shown_at != confidence
    threshold = f"{shown_at:.3g}, this file's own threshold" if own else f"{confidence:.3g}"
    clear, lost = sum(row.clear for row in rows), sum(row.lost for row in rows)
    flicker = sum(row.flicker for row in rows)
    return margin_check(
        setting,
        "lost_share",
        binomial(lost, clear),
        limits.lost_share,
        n=clear,
        units_per_image=clear / len(rows) if rows else 0.0,
        ties=flicker,
        method=f"detections with a baseline score >= {confidence + LOST_CLEARANCE:.3g} that the "
        f"app no longer shows at {threshold}; exact binomial bounds; {flicker} between "
        "the two also went and are not counted",
        hint="" if clear else "no clear detection on any image: add images that show the objects",
        worst=worst_images(
            ImageValue(
                name=row.name,
                sha256=row.sha256,
                value=float(row.lost),
                note=f"{row.lost} of {row.clear} clear detections lost",
            )
            for row in rows
            if row.lost
        ),
    )
