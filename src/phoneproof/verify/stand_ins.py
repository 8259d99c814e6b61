"""What integers are held to where nobody can say how much accuracy they lose."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from phoneproof.core import tolerances
from phoneproof.core.check import Check, CheckName
from phoneproof.core.contract import Task
from phoneproof.verify.limits import Limits
from phoneproof.verify.verdicts import AGREEMENT

_METRIC_OF: Final[dict[CheckName, CheckName]] = {"top1_drop": "top1", "map50_95_drop": "map50_95"}


def held_to(limits: Limits, task: Task, losses: Iterable[Check]) -> Limits:
    """`limits`, and what stands in for a loss of accuracy that cannot be measured.

    Without labels the results of integers agree with the baseline's; outputs that nobody knows
    the meaning of (task ``raw``) keep `snr_db`, maps of class numbers `class_map_agreement`.
    Limits that are given stay: float precisions are held to agreement anyway.

    Args:
        losses: the checks against labels, where there are any.
    """
    if task == "raw":
        return _filled(
            limits,
            snr_db=tolerances.RAW_SNR_DB,
            class_map_agreement=tolerances.INTEGER_CLASS_MAP,
        )
    if _loss_measured(losses):
        return limits
    return _filled(
        limits,
        top1_agreement=tolerances.INTEGER_TOP1_AGREEMENT,
        box_agreement=tolerances.INTEGER_BOX_AGREEMENT,
    )


def judged_by_loss(checks: Iterable[Check]) -> bool:
    """Whether checks that were recorded hold an artifact to a loss against labels."""
    return any(check.name in _METRIC_OF and check.gating for check in checks)


def without_stand_ins(checks: Iterable[Check], limits: Limits) -> tuple[Check, ...]:
    """Agreement shown alone, where it gates for want of labels.

    For whoever measures again what was accepted by its loss: images without labels tell less
    about it, not other things.
    """
    return tuple(
        msgspec.structs.replace(check, gating=False, limit=None, verdict="pass", hint="")
        if check.name in AGREEMENT and getattr(limits, check.name) is None
        else check
        for check in checks
    )


def _filled(limits: Limits, **defaults: float) -> Limits:
    missing = {name: value for name, value in defaults.items() if getattr(limits, name) is None}
    return msgspec.structs.replace(limits, **missing)


def _loss_measured(checks: Iterable[Check]) -> bool:
    """Whether a loss of accuracy beyond its margin would have been seen.

    There are labels, and the baseline reaches more than the margin: who has nothing to lose
    (labels of other things than the model finds) loses nothing.
    """
    by_name = {check.name: check for check in checks}
    for drop_name, metric_name in _METRIC_OF.items():
        drop, metric = by_name.get(drop_name), by_name.get(metric_name)
        if drop is None or metric is None or drop.value is None or metric.value is None:
            continue
        if drop.limit is not None and metric.value + drop.value > drop.limit:
            return True
    return False
