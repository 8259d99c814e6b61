"""A check: a measured claim about an artifact, with its evidence and a verdict."""

from __future__ import annotations

from typing import Literal

import msgspec

CheckKind = Literal["exact", "bounded", "margin"]
Verdict = Literal["pass", "undecided", "fail"]
CheckName = Literal[
    "hub_equivalence",
    "max_abs",
    "snr_db",
    "top1",
    "top5",
    "top1_drop",
    "top1_agreement",
    "class_map_agreement",
    "map50",
    "map50_95",
    "map50_95_drop",
    "box_agreement",
    "score_shift",
    "lost_share",
    "small_recall_drop",
    "golden_pixels",
    "golden_outputs",
    "golden_results",
    "contract_match",
    "label_order",
    "contract_search",
    "size_ratio",
    "overflows",
    "denormals",
]
Split = Literal["all", "calibration", "selection", "confirmation", "golden"]


class DatasetRef(msgspec.Struct, frozen=True, kw_only=True):
    """Which images a check looked at: a hash over their content hashes, and the split's name."""

    hash: str
    split: Split


class Worst(msgspec.Struct, frozen=True, kw_only=True):
    """One of the worst images of a check."""

    image: str
    sha256: str
    value: float
    note: str = ""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One measured claim.

    value, limit, bounds: in `unit`; for a rate or a metric the raw number (.897), never percent.
    direction: "max" where the value must not exceed the limit, "min" where it must reach it.
    gating: whether it takes part in the artifact's verdict; a check without a limit never does.
    bounds: one-sided 95 % lower and upper bounds of the value, where statistics apply.
    n_needed: how many images would decide an undecided margin check at the measured spread.
    slice: what part of the outputs or images it speaks of ("boxes", "scores", "small"); "" = all.
    ties: items whose baseline is itself a tie: shown, not failed.
    """

    name: CheckName
    kind: CheckKind
    value: float | None
    unit: str = ""
    limit: float | None = None
    direction: Literal["max", "min"] = "max"
    gating: bool = True
    n: int
    ties: int = 0
    bounds: tuple[float, float] | None = None
    n_needed: int | None = None
    against: Literal["baseline", "parent", "labels"] = "baseline"
    dataset: DatasetRef | None = None
    runtime: str = ""
    device: str = ""
    slice: str = ""
    method: str = ""
    verdict: Verdict
    worst: tuple[Worst, ...] = ()
    hint: str = ""


def margin_loss(name: str, value: float) -> float:
    """The loss that the value of a margin check speaks of, in its unit; below 0 it is a gain.

    A shift of the scores is a loss either way. name: of the check, also with its slice behind.
    """
    return abs(value) if name.startswith("score_shift") else value


_RANK: dict[Verdict, int] = {"pass": 0, "undecided": 1, "fail": 2}


def worst_verdict(verdicts: tuple[Verdict, ...]) -> Verdict:
    """The worst of several verdicts; pass for none."""
    return max(verdicts, key=_RANK.__getitem__, default="pass")


def artifact_verdict(checks: tuple[Check, ...]) -> Verdict:
    """An artifact's verdict is that of its worst gating check."""
    return worst_verdict(tuple(check.verdict for check in checks if check.gating))
