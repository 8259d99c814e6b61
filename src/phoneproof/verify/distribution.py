"""What an app notices while mAP stays the same: scores that move, clear detections that go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phoneproof.core.check import Check
from phoneproof.core.tolerances import LOST_CLEARANCE, MATCH_IOU
from phoneproof.decode.results import Detections
from phoneproof.verify.evidence import ImageValue, Setting, margin_check, worst_images
from phoneproof.verify.limits import Limits
from phoneproof.verify.matching import UNMATCHED, iou, match_one_to_one, same_class
from phoneproof.verify.statistics import binomial, ratio_estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreRow:
    """Detections of one image that the app shows with the baseline.

    pairs: (baseline, candidate) scores of those found again. clear: how many were well above the
    threshold; lost: how many of these are now below it or gone. flicker: the same for the rest.
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
    confidence: float,
) -> ScoreRow:
    """Match the baseline's app detections in the candidate's detections.

    Args:
        baseline: detections under the app's decode.
        candidate: detections under the decode of mAP, which still holds those that fell below
            the app's threshold.
        confidence: the app's threshold; a score counts when it is greater.
    """
    overlap = iou(baseline.boxes, candidate.boxes)
    allowed = same_class(baseline, candidate) & (overlap >= MATCH_IOU)
    columns = match_one_to_one(1.0 - overlap, allowed)
    found = columns != UNMATCHED
    after = np.zeros(len(columns), np.float32)
    after[found] = candidate.scores[columns[found]]
    # Not "<=": a NaN score is below every threshold.
    below = ~(after > np.float32(confidence))
    clear = baseline.scores >= confidence + LOST_CLEARANCE
    return ScoreRow(
        name=name,
        sha256=sha256,
        pairs=tuple(
            (float(b), float(c)) for b, c in zip(baseline.scores[found], after[found], strict=True)
        ),
        clear=int(clear.sum()),
        lost=int((clear & below).sum()),
        flicker=int((~clear & below).sum()),
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
    setting: Setting, rows: Sequence[ScoreRow], confidence: float, limits: Limits
) -> Check:
    """Share of clear detections that the app would no longer show."""
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
        method=f"detections with a baseline score >= {confidence + LOST_CLEARANCE:.3g} that are "
        f"now at most {confidence:.3g} or gone; exact binomial bounds; {flicker} between the two "
        "also went and are not counted",
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
