"""What float16 loses inside a file: numbers that became infinite, and those that lost digits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from phoneproof.core.check import Check, Verdict
from phoneproof.runtimes.float16_finding import Float16Finding
from phoneproof.verify.evidence import Setting

SHOWN: Final = 3
"""Operations that a check names."""


def rounding_checks(
    setting: Setting, findings: Sequence[Float16Finding], images: int
) -> tuple[Check, Check]:
    """``overflows`` (gates: none may be) and ``denormals`` (shown), over all operations.

    Only operations whose float32 result is finite count as overflowing: infinities that come of
    others downstream are theirs.
    """
    overflows = sum(one.overflows for one in findings)
    verdict: Verdict = "fail" if overflows else "pass"
    return (
        Check(
            name="overflows",
            kind="exact",
            value=overflows,
            unit="values",
            limit=0,
            n=images,
            dataset=setting.dataset,
            runtime=setting.runtime,
            device=setting.device,
            method=_method(findings, "overflow", lambda one: one.overflows),
            verdict=verdict,
            hint=_hint(findings) if overflows else "",
        ),
        Check(
            name="denormals",
            kind="exact",
            value=sum(one.subnormals + one.vanished for one in findings),
            unit="values",
            gating=False,
            n=images,
            dataset=setting.dataset,
            runtime=setting.runtime,
            device=setting.device,
            method=_method(
                findings, "smaller than 6.1e-5", lambda one: one.subnormals + one.vanished
            ),
            verdict="pass",
        ),
    )


def overflowing(findings: Sequence[Float16Finding]) -> tuple[str, ...]:
    """The values whose operations overflow, in the program's order."""
    return tuple(one.operation for one in findings if one.overflows)


def _method(
    findings: Sequence[Float16Finding], what: str, count: Callable[[Float16Finding], int]
) -> str:
    values = sum(one.values for one in findings)
    text = f"counted in {values} float16 results of {len(findings)} operations"
    worst = sorted((one for one in findings if count(one)), key=count, reverse=True)
    if not worst:
        return text
    named = [f"{one.operation} ({one.type}) {count(one)} of {one.values}" for one in worst[:SHOWN]]
    rest = f" and {len(worst) - SHOWN} more" if len(worst) > SHOWN else ""
    return f"{text}; {what}: {', '.join(named)}{rest}"


def _hint(findings: Sequence[Float16Finding]) -> str:
    worst = max((one for one in findings if one.overflows), key=lambda one: one.largest)
    return (
        f"{worst.operation} reaches {worst.largest:.4g}, float16 ends at 65504: scale what feeds "
        "it, or ask for float32"
    )
