"""Classification: accuracy against the labels, agreement and score change against the baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phoneproof.core.check import Check
from phoneproof.core.contract import Contract
from phoneproof.decode.labels import label_text, ranking
from phoneproof.decode.results import Classification
from phoneproof.verify.evidence import (
    ImageValue,
    Setting,
    bounded_check,
    margin_check,
    shown_check,
    worst_images,
)
from phoneproof.verify.limits import Limits
from phoneproof.verify.statistics import ratio_estimate, tango


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassRow:
    """One image. first: the baseline's most probable class; label: the labelled one, or None.

    Ranks: position of the label among the classes, 0 = most probable, or None.

    baseline_score, candidate_score: probabilities of the *baseline's* most probable class.
    margin: the baseline's probability of its first class less that of its second.
    """

    name: str
    sha256: str
    agree: bool
    margin: float
    baseline_score: float
    candidate_score: float
    baseline_rank: int | None
    candidate_rank: int | None
    first: int
    label: int | None
    note: str


def compare_classes(
    name: str,
    sha256: str,
    baseline: Classification,
    candidate: Classification,
    label: int | None,
    contract: Contract,
) -> ClassRow:
    """What two classifiers say about one image. Classes without a label never count."""
    before, after = ranking(baseline, contract), ranking(candidate, contract)
    first = int(before[0])
    margin = math.inf
    if len(before) > 1:
        margin = float(baseline.probabilities[first]) - float(baseline.probabilities[before[1]])
    return ClassRow(
        name=name,
        sha256=sha256,
        # argsort puts a NaN last, so a model of NaNs would still name a class.
        agree=first == int(after[0]) and bool(np.isfinite(candidate.probabilities).all()),
        margin=margin,
        baseline_score=float(baseline.probabilities[first]),
        candidate_score=float(candidate.probabilities[first]),
        baseline_rank=None if label is None else _rank(before, label),
        candidate_rank=None if label is None else _rank(after, label),
        first=first,
        label=label,
        note=f"{label_text(contract, first)} -> {label_text(contract, int(after[0]))}",
    )


def _rank(order: np.ndarray[tuple[int, ...], np.dtype[np.int64]], label: int) -> int:
    """Position of the label; past the end where no class carries it."""
    positions = np.flatnonzero(order == label)
    return int(positions[0]) if len(positions) else len(order)


def top1_agreement_check(setting: Setting, rows: Sequence[ClassRow], limits: Limits) -> Check:
    """Share of images with the same most probable class; the baseline's own ties are set aside."""
    clearance = 2.0 * limits.probability_tolerance
    ties = [row for row in rows if row.margin < clearance]
    clear = [row for row in rows if row.margin >= clearance]
    differing = [row for row in clear if not row.agree]
    return bounded_check(
        setting,
        "top1_agreement",
        1.0 - len(differing) / len(clear) if clear else 1.0,
        limits.top1_agreement,
        n=len(clear),
        direction="min",
        ties=len(ties),
        method="same most probable class; images whose two best classes lie within twice the "
        "tolerance are counted as ties",
        hint="" if clear else "every image is a tie: the baseline cannot tell its classes apart",
        worst=worst_images(
            ImageValue(name=row.name, sha256=row.sha256, value=row.margin, note=row.note)
            for row in differing
        ),
    )


def accuracy_checks(setting: Setting, rows: Sequence[ClassRow], limits: Limits) -> list[Check]:
    """top1 and top5 (shown), top1_drop (gates); none unless every image has a label."""
    if not rows or any(row.candidate_rank is None for row in rows):
        return []
    n = len(rows)
    before = [row.baseline_rank == 0 for row in rows]
    after = [row.candidate_rank == 0 for row in rows]
    in_five = sum(row.candidate_rank is not None and row.candidate_rank < 5 for row in rows)
    lost = [row for row, b, a in zip(rows, before, after, strict=True) if b and not a]
    gained = sum(a and not b for b, a in zip(before, after, strict=True))
    return [
        shown_check(
            setting, "top1", sum(after) / n, n=n, method=f"baseline: {sum(before) / n:.4f}"
        ),
        shown_check(setting, "top5", in_five / n, n=n),
        margin_check(
            setting,
            "top1_drop",
            tango(len(lost), gained, n),
            limits.top1_drop,
            n=n,
            method=f"{len(lost)} images lost, {gained} gained; Tango's score interval for paired "
            "proportions, one-sided 95 %",
            worst=worst_images(
                ImageValue(name=r.name, sha256=r.sha256, value=r.baseline_score, note=r.note)
                for r in lost
            ),
        ),
    ]


def probability_shift_check(setting: Setting, rows: Sequence[ClassRow], limits: Limits) -> Check:
    """Mean signed change of the probability of the baseline's most probable class."""
    changes = np.array([row.candidate_score - row.baseline_score for row in rows], np.float64)
    return margin_check(
        setting,
        "score_shift",
        ratio_estimate(changes, np.ones(len(changes))),
        limits.score_shift,
        n=len(rows),
        two_sided=True,
        unit="probability",
        method="mean change of the probability of the baseline's first class; its magnitude is "
        "judged; 2000 image bootstraps",
        worst=worst_images(
            ImageValue(name=row.name, sha256=row.sha256, value=abs(float(change)), note=row.note)
            for row, change in zip(rows, changes, strict=True)
            if change
        ),
    )
