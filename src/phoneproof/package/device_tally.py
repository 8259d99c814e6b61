"""What one accelerator's golden vectors add up to, and the checks made of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from phoneproof.core.check import Check, DatasetRef, Worst
from phoneproof.core.golden import GoldenCase

WORST = 3
IDENTICAL_DB = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceLimits:
    """What an accelerator is held to. Null: shown only.

    relative: of golden_outputs; snr_db: least of any output; score: how far a probability or a
    score may lie from the recorded one. words: what the limits are those of.
    """

    relative: float | None
    snr_db: float | None
    score: float
    words: str = ""


@dataclass(kw_only=True, slots=True)
class CaseTally:
    """One golden case. relative: of its worst output. noise, signal: powers, by output."""

    case: GoldenCase
    relative: float = 0.0
    noise: dict[str, float] = field(default_factory=dict)
    signal: dict[str, float] = field(default_factory=dict)
    found: int = 0
    results: int = 0
    ties: int = 0

    def add(self, output: str, stored: NDArray[Any], values: NDArray[Any], free: float) -> None:
        """Compare an output's elements with the recorded ones, beyond what is `free`."""
        before, after = stored.astype(np.float64), values.astype(np.float64)
        # What was not finite at build time must be the very same.
        equal = (before == after) | (np.isnan(before) & np.isnan(after))
        with np.errstate(invalid="ignore"):
            apart = np.where(equal, 0.0, np.abs(after - before))
        distance = float(apart.max(initial=0.0))
        known = np.where(np.isfinite(before), before, 0.0)
        magnitude = float(np.abs(known).max(initial=0.0))
        beyond = max(0.0, distance - free) if math.isfinite(distance) else math.inf
        self.relative = max(self.relative, beyond / magnitude if magnitude > 0 else beyond)
        self.noise[output] = float(np.square(apart).sum()) if math.isfinite(distance) else math.inf
        self.signal[output] = float(np.square(known).sum())

    def add_results(self, found: int, results: int, ties: int) -> None:
        """Count decoded results."""
        self.found += found
        self.results += results
        self.ties += ties


@dataclass(kw_only=True, slots=True)
class Tally:
    """All cases of one accelerator. missing: required cases that were not recorded. inputs:
    case -> whether the input tensor was the recorded one."""

    missing: frozenset[str]
    seen: dict[str, CaseTally] = field(default_factory=dict)
    inputs: dict[str, bool] = field(default_factory=dict)

    def begin(self, case: GoldenCase) -> CaseTally:
        """Add one case."""
        self.seen[case.id] = CaseTally(case=case)
        return self.seen[case.id]

    def worst(self, value: Callable[[CaseTally], float]) -> tuple[Worst, ...]:
        """The cases of the greatest values above zero."""
        rows = sorted(self.seen.values(), key=lambda one: -value(one))[:WORST]
        return tuple(
            Worst(image=one.case.file, sha256=one.case.sha256, value=number)
            for one in rows
            if (number := min(value(one), 1e300)) > 0
        )


def checks_of(
    tally: Tally, limits: DeviceLimits, dataset: DatasetRef, *, runtime: str, device: str
) -> tuple[Check, ...]:
    """The checks, in the order in which a person would ask: input, outputs, results."""
    made = [
        *_input_check(tally, dataset),
        _output_check(tally, limits, dataset),
        *_noise_checks(tally, limits, dataset),
        *_result_check(tally, dataset),
    ]
    return tuple(_on(check, runtime, device) for check in made)


def _on(check: Check, runtime: str, device: str) -> Check:
    return msgspec.structs.replace(check, runtime=runtime, device=device)


def _input_check(tally: Tally, dataset: DatasetRef) -> list[Check]:
    if not tally.inputs:
        return []
    wrong = [name for name, same in tally.inputs.items() if not same]
    return [
        Check(
            name="golden_pixels",
            kind="exact",
            value=float(len(wrong)),
            limit=0.0,
            n=len(tally.inputs),
            dataset=dataset,
            method="Golden cases whose input tensor has another hash than the recorded one",
            verdict="fail" if wrong else "pass",
            hint=f"another input was fed: {', '.join(sorted(wrong)[:WORST])}" if wrong else "",
        )
    ]


def _output_check(tally: Tally, limits: DeviceLimits, dataset: DatasetRef) -> Check:
    value = max((one.relative for one in tally.seen.values()), default=math.inf)
    failed = not math.isfinite(value) or (limits.relative is not None and value > limits.relative)
    hint = "the device computes something else than was recorded at build time" if failed else ""
    if tally.missing:
        named = ", ".join(sorted(tally.missing)[:WORST])
        hint = f"{len(tally.missing)} golden cases were not recorded: {named}"
    return Check(
        name="golden_outputs",
        kind="bounded",
        value=value if math.isfinite(value) else None,
        limit=limits.relative,
        gating=limits.relative is not None or failed or bool(tally.missing),
        n=len(tally.seen),
        dataset=dataset,
        method=f"Relative to the largest magnitude of the recorded output{limits.words}",
        verdict="fail" if failed or tally.missing else "pass",
        worst=tally.worst(lambda one: one.relative) if failed else (),
        hint=hint,
    )


def _noise_checks(tally: Tally, limits: DeviceLimits, dataset: DatasetRef) -> list[Check]:
    names = dict.fromkeys(name for one in tally.seen.values() for name in one.noise)
    return [_noise_check(tally, name, limits, dataset) for name in names]


def _noise_check(tally: Tally, output: str, limits: DeviceLimits, dataset: DatasetRef) -> Check:
    cases = tally.seen.values()
    value = _decibels(
        sum(one.signal[output] for one in cases), sum(one.noise[output] for one in cases)
    )
    failed = limits.snr_db is not None and value < limits.snr_db
    return Check(
        name="snr_db",
        kind="bounded",
        value=value,
        unit="dB",
        limit=limits.snr_db,
        direction="min",
        gating=limits.snr_db is not None,
        n=len(cases),
        dataset=dataset,
        slice=output,
        method=f"Against the recorded output{limits.words}",
        verdict="fail" if failed else "pass",
        worst=tally.worst(lambda one: one.noise[output]) if failed else (),
    )


def _decibels(signal: float, noise: float) -> float:
    """10 log10 of signal power over noise power, within +-300, as `snr_db` of a build."""
    if noise == 0.0:
        return IDENTICAL_DB
    if signal == 0.0 or not math.isfinite(noise):
        return -IDENTICAL_DB
    decibels = 10.0 * (math.log10(signal) - math.log10(noise))
    return max(-IDENTICAL_DB, min(IDENTICAL_DB, decibels))


def _result_check(tally: Tally, dataset: DatasetRef) -> list[Check]:
    cases = list(tally.seen.values())
    count = sum(one.results for one in cases)
    if not count:
        return []
    share = sum(one.found for one in cases) / count
    failed = share < 1.0
    return [
        Check(
            name="golden_results",
            kind="bounded",
            value=share,
            limit=1.0,
            direction="min",
            n=sum(one.results > 0 for one in cases),
            ties=sum(one.ties for one in cases),
            dataset=dataset,
            method=f"Share of {count} recorded results that came again",
            verdict="fail" if failed else "pass",
            worst=tally.worst(lambda one: float(one.results - one.found)) if failed else (),
            hint="classes, scores or boxes differ: look at the outputs first" if failed else "",
        )
    ]
