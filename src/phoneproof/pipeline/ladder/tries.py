"""What the ladder has tried: each candidate with its verdict, as data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from phoneproof.core.check import Check, margin_loss
from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import (
    ConversionFailed,
    InvalidInput,
    OptimizationFailed,
    PhoneproofError,
    Unsupported,
    VerificationFailed,
)
from phoneproof.core.recipe import Recipe
from phoneproof.core.report import Attempt
from phoneproof.pipeline.artifact_chain import JudgedArtifact, not_passed
from phoneproof.pipeline.artifact_steps import MadeArtifact

Rung = Literal[
    "int8",
    "ranges",
    "split heads",
    "float tail",
    "threshold",
    "wide layers",
    "equalised",
    "bias",
    "learned",
    "dynamic",
    "weight-only",
    "float16",
    "sparse",
]
"""The ladder, from the smallest file to the largest; sparse files have one of their own."""

BROKE: Final = (
    OptimizationFailed,
    ConversionFailed,
    Unsupported,
    InvalidInput,
    VerificationFailed,
)
"""What ends a rung, but not the climb: the next one may do without what broke. A runtime that
cannot open a candidate calls it invalid input, outputs of another shape a failed verification."""

HOPELESS: Final = 1e9
"""The excess of what gave no file, or nothing that could be measured."""


NO_IMAGES: Final = ImageSet(split="calibration", items=())


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """A float32 file that candidates are made from.

    words: what was done to it, as people read it; "" for the file as converted. ranges: the
    folder with its ``ranges.json``, null before calibration. taught_by: the images that it was
    calibrated on: what looks at layers and what learns takes the same.
    """

    made: MadeArtifact
    words: str = ""
    ranges: Path | None = None
    taught_by: ImageSet = NO_IMAGES


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One candidate. judged: on the images that ladders look at; null where there is no file."""

    rung: Rung
    trunk: Trunk
    recipe: Recipe
    attempt: Attempt
    judged: JudgedArtifact | None = None

    @property
    def accepted(self) -> bool:
        """Whether it may ship, as far as the selection images tell."""
        return self.judged is not None and self.judged.accepted

    @property
    def wide(self) -> float:
        """Share of the arithmetic above int8 (0..1); 1 where nobody counted."""
        share = self.attempt.macs_above_int8
        return 1.0 if share is None else share

    @property
    def excess(self) -> float:
        """The worst loss in units of its limit; what is below 1 everywhere is good."""
        return HOPELESS if self.judged is None else excess(self.judged.checks)


def broken_attempt(rung: str, what: str, error: PhoneproofError) -> Attempt:
    """A try that gave no file, and why."""
    found = f" ({error.found})" if error.found else ""
    return Attempt(what=what, bytes=0, failed=(), rung=rung, broke=f"{error.failed}{found}")


def measured_attempt(
    rung: str,
    what: str,
    judged: JudgedArtifact,
    *,
    seconds: float,
    macs_above_int8: float | None = None,
) -> Attempt:
    """A try with its file. macs_above_int8: null where nobody counted."""
    artifact = judged.made.artifact
    return Attempt(
        what=what,
        bytes=artifact.bytes,
        failed=not_passed(judged.checks),
        rung=rung,
        precision=artifact.precision,
        macs_above_int8=macs_above_int8,
        seconds=seconds,
        losses=losses(judged.checks),
        accepted=judged.accepted,
    )


def untried_attempt(rung: str, what: str, budget: float) -> Attempt:
    """A try that there was no time for. budget: seconds of the whole ladder."""
    why = f"not tried, the budget of {budget:g} s does not reach"
    return Attempt(what=what, bytes=0, failed=(), rung=rung, broke=why)


def excess(checks: tuple[Check, ...]) -> float:
    """The largest loss of the gating margins relative to its limit; bounded checks that failed
    count as twice their limit.
    """
    ratios = [0.0]
    for check in checks:
        if not check.gating:
            continue
        if check.kind == "margin" and check.limit:
            ratios.append(margin_loss(check.name, check.value or 0.0) / check.limit)
        elif check.verdict == "fail":
            ratios.append(2.0)
    return max(ratios)


def losses(checks: tuple[Check, ...]) -> tuple[tuple[str, float | None, float | None], ...]:
    """(name with slice, value, limit) of every gating margin."""
    return tuple(
        (f"{check.name} {check.slice}".strip(), check.value, check.limit)
        for check in checks
        if check.gating and check.kind == "margin"
    )
