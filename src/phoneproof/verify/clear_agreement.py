"""box_agreement of integers: the same clear objects, whatever became of the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phoneproof.core.check import Check
from phoneproof.core.tolerances import LOST_CLEARANCE, MATCH_IOU
from phoneproof.decode.results import Detections
from phoneproof.verify.distribution import match_detections
from phoneproof.verify.evidence import ImageValue, Setting, bounded_check, worst_images
from phoneproof.verify.limits import Limits
from phoneproof.verify.matching import UNMATCHED


@dataclass(frozen=True, kw_only=True, slots=True)
class ClearRow:
    """What both apps show on one image: scores, by whether the other app shows that object."""

    name: str
    sha256: str
    kept: tuple[float, ...]
    missing: tuple[float, ...]
    found: tuple[float, ...]
    extra: tuple[float, ...]


def compare_clear(name: str, sha256: str, baseline: Detections, candidate: Detections) -> ClearRow:
    """Match what the apps show one to one: the same class at an IoU of at least `MATCH_IOU`.

    kept, missing: scores of the baseline's detections with and without partner; found, extra:
    those of the candidate's.
    """
    columns = match_detections(baseline, candidate)
    gone = columns == UNMATCHED
    new = np.ones(len(candidate.scores), np.bool_)
    new[columns[~gone]] = False
    return ClearRow(
        name=name,
        sha256=sha256,
        kept=tuple(baseline.scores[~gone].tolist()),
        missing=tuple(baseline.scores[gone].tolist()),
        found=tuple(candidate.scores[~new].tolist()),
        extra=tuple(candidate.scores[new].tolist()),
    )


def clear_agreement_check(
    setting: Setting,
    rows: Sequence[ClearRow],
    confidence: float,
    limits: Limits,
    shown_at: float | None = None,
) -> Check:
    """The lesser of two shares: of the baseline's clear detections that the candidate's app shows
    too, and of the candidate's clear ones that the baseline's app does.

    Clear: a score `LOST_CLEARANCE` above the threshold of the model that shows it. What is nearer
    flickers and is counted as tie where it has no partner.

    Args:
        confidence: the contract's threshold. shown_at: the candidate's own; null: the same.
    """
    before = confidence + LOST_CLEARANCE
    after = (confidence if shown_at is None else shown_at) + LOST_CLEARANCE
    missing = [_count(row.missing, before) for row in rows]
    extra = [_count(row.extra, after) for row in rows]
    kept = sum(_count(row.kept, before) for row in rows)
    found = sum(_count(row.found, after) for row in rows)
    n = kept + sum(missing) + found + sum(extra)
    return bounded_check(
        setting,
        "box_agreement",
        min(_share(kept, sum(missing)), _share(found, sum(extra))),
        limits.box_agreement,
        n=n,
        direction="min",
        ties=sum(len(row.missing) + len(row.extra) for row in rows) - sum(missing) - sum(extra),
        method=f"clear detections ({LOST_CLEARANCE} above the threshold) that the other model "
        f"shows too (same class, IoU >= {MATCH_IOU}, one to one): {kept} of {kept + sum(missing)} "
        f"of the baseline's, {found} of {found + sum(extra)} of this file's; the lesser share",
        hint="" if n else "no clear detection on any image: add images that show the objects",
        worst=worst_images(
            ImageValue(
                name=row.name,
                sha256=row.sha256,
                value=float(gone + new),
                note=f"{gone} missing, {new} extra",
            )
            for row, gone, new in zip(rows, missing, extra, strict=True)
            if gone + new
        ),
    )


def _count(scores: tuple[float, ...], least: float) -> int:
    return sum(score >= least for score in scores)


def _share(with_partner: int, without: int) -> float:
    both = with_partner + without
    return with_partner / both if both else 1.0
