"""When an artifact is accepted: it ships, and the repair ladder stops."""

from __future__ import annotations

from typing import Final

from phoneproof.core.check import Check, CheckName, artifact_verdict, margin_loss
from phoneproof.verify.limits import Limits

DISTRIBUTION: Final[frozenset[CheckName]] = frozenset({"score_shift", "lost_share"})
UNDECIDED_SHARE: Final = 0.5
"""How much of its margin an undecided distribution check may use. Of 200 clear detections one lost
leaves the bound above 2 %: demanding that it passes would refuse every int8 file on any set that
people have; see docs/decisions/0023-the-repair-ladder.md."""
AGREEMENT: Final[frozenset[CheckName]] = frozenset({"box_agreement", "top1_agreement"})


def accepted(checks: tuple[Check, ...], limits: Limits) -> bool:
    """Whether the checks allow the artifact to ship.

    Passed; or nothing failed, every undecided margin check has its estimate inside the margin,
    and all exact and bounded checks passed. A distribution check that is undecided for want of
    detections counts as passed where `limits` ask for agreement and it passed: then every result
    is known to be the same, one by one. Otherwise (integers, also where a looser agreement stands
    in for labels) its estimate may use half of the margin (`UNDECIDED_SHARE`); one lost detection
    may use all of it.
    ``undecided = "fail"`` demands that all passed.
    Where nothing gates nothing is proved, and nothing ships.
    """
    gating = tuple(check for check in checks if check.gating)
    if not gating:
        return False
    verdict = artifact_verdict(gating)
    if verdict != "undecided" or limits.undecided == "fail":
        return verdict == "pass"
    agreed = any(
        check.name in AGREEMENT
        and check.verdict == "pass"
        and getattr(limits, check.name) is not None
        for check in gating
    )
    return all(check.verdict == "pass" or _tolerable(check, agreed) for check in gating)


def _tolerable(check: Check, agreed: bool) -> bool:
    """Whether an undecided check may stand."""
    if check.kind != "margin":
        return False
    if check.value is None or check.limit is None:
        return agreed and check.name in DISTRIBUTION and check.n == 0
    allowed = check.limit
    if check.name in DISTRIBUTION and not agreed:
        allowed *= UNDECIDED_SHARE
    if check.name == "lost_share" and check.n:  # one is the least that can be lost
        allowed = max(allowed, min(1 / check.n, check.limit))
    return margin_loss(check.name, check.value) <= allowed
