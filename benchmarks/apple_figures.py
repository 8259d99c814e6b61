"""What is said of one Apple artifact: drawn from the report of its build."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from phoneproof.core.check import Check
from phoneproof.core.report import ArtifactReport


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One artifact. verdict: of its checks, or the error that there is no file.

    n: images it was run on. snr_db: of the output that is worst off. failed: gating checks that
    failed, with their values. islands: layers that stay float32. held: what read-back (of
    Core AI: Apple's library) counts in the file. to_hub: of a float32 file, the largest absolute
    difference from the hub program relative to the largest magnitude, of the output where that is
    largest; to_exact: the same from the hub program in float64, and hub_to_exact: of the hub
    program itself. seconds: of the step that wrote it.
    """

    verdict: str
    n: int = 0
    runtime: str = ""
    snr_db: float | None = None
    failed: str = ""
    islands: int | None = None
    layers: str = ""
    held: str = ""
    megabytes: float = 0.0
    tries: int = 0
    to_hub: float | None = None
    to_exact: float | None = None
    hub_to_exact: float | None = None
    seconds: float = 0.0


def figures(artifact: ArtifactReport) -> Figures:
    """Drawn from the report."""
    decibels = [c.value for c in artifact.checks if c.name == "snr_db" and c.value is not None]
    kept = dict(artifact.options).get("float32_layers")
    said = next((check for check in artifact.checks if check.runtime), None)
    layers = json.loads(kept) if kept is not None else None
    return Figures(
        verdict=artifact.verdict if artifact.accepted else f"refused ({artifact.verdict})",
        n=max((check.n for check in artifact.checks if check.name == "snr_db"), default=0),
        runtime=said.runtime if said is not None else "",
        snr_db=round(min(decibels), 1) if decibels else None,
        failed=failures(artifact.checks),
        islands=len(layers) if layers is not None else None,
        layers=", ".join(layers or ()),
        held=held(artifact),
        megabytes=round(artifact.bytes / 1e6, 2),
        tries=len(artifact.attempts),
        seconds=round(artifact.seconds, 1),
    )


def failures(checks: Sequence[Check]) -> str:
    """``snr_db scores 40.3 dB (limit 45)`` of gating checks that failed."""
    return "; ".join(
        " ".join(f"{c.name} {c.slice} {shown(c.value)} {c.unit} (limit {shown(c.limit)})".split())
        for c in checks
        if c.gating and c.verdict == "fail"
    )


def shown(value: float | None) -> str:
    """Three digits."""
    return "not measured" if value is None else f"{value:.3g}"


def held(artifact: ArtifactReport) -> str:
    """``float16 91 %, float32 9 %`` of the weights, where they were counted."""
    read = artifact.read_back
    if read is None or not read.shares:
        return artifact.precision
    shares = sorted(read.shares, key=lambda share: -share.weights)
    return ", ".join(f"{one.dtype} {one.weights:.0%}".replace("%", " %") for one in shares)
