"""What is said of finished files beside their checks: contents, phones, time on this host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from phoneproof.core.capture import Hazard
from phoneproof.core.contract import Decode
from phoneproof.core.optimization import CalibrationReport, ParetoPoint, Recommendation
from phoneproof.core.report import ArtifactReport
from phoneproof.pipeline.artifact_chain import JudgedArtifact
from phoneproof.pipeline.calibrate_step import calibration_hazards, calibration_of
from phoneproof.pipeline.config_types import TargetName
from phoneproof.pipeline.facts_step import Facts, FactsStep, facts_of
from phoneproof.pipeline.latency_step import LatencyStep, latency
from phoneproof.pipeline.step import StepResult
from phoneproof.pipeline.workshop import Workshop

_EXAMINED = ("tflite", "onnx", "coreml")
_TIMED = ("tflite", "onnx")
"""Formats that run here as elsewhere: the times of a reference interpreter mean nothing."""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """By artifact id. facts: of what was read back; latencies: milliseconds, where timed."""

    facts: Mapping[str, Facts] = field(default_factory=dict)
    latencies: Mapping[str, float] = field(default_factory=dict)


Reading = Mapping[str, Future[StepResult]]
"""Artifact id -> its file being read back."""


def read_once_judged(workshop: Workshop, judging: Iterable[Future[JudgedArtifact]]) -> Reading:
    """Begin to read back each file as soon as it is judged, until all are or one broke.

    Compressing a large file takes seconds, in which others are still tried.
    """
    reading: dict[str, Future[StepResult]] = {}
    for future in as_completed(judging):
        if future.exception() is not None:
            break
        made = future.result().made
        if made.artifact.format in _EXAMINED:
            step = FactsStep(
                label=made.artifact.id,
                format=made.artifact.format,
                path=made.path,
                sha256=made.artifact.sha256,
            )
            reading[made.artifact.id] = workshop.start(step)
    return reading


def examine(
    workshop: Workshop, judged: tuple[JudgedArtifact, ...], reading: Reading, *, timed: bool
) -> Examined:
    """What the files hold; where `timed`, the accepted ones are run alone on this host."""
    facts = {name: facts_of(future.result().folder) for name, future in reading.items()}
    return Examined(facts=facts, latencies=_timed(workshop, judged) if timed else {})


def _timed(workshop: Workshop, judged: tuple[JudgedArtifact, ...]) -> dict[str, float]:
    """One after the other: two at once would time each other."""
    found: dict[str, float] = {}
    for one in judged:
        made = one.made
        if one.accepted and made.artifact.format in _TIMED:
            step = LatencyStep(
                label=made.artifact.id,
                format=made.artifact.format,
                artifact=made.path,
                artifact_sha256=made.artifact.sha256,
            )
            found[made.artifact.id] = latency(workshop.cache.result(step).folder).median_ms
    return found


def calibration_report(judged: tuple[JudgedArtifact, ...]) -> CalibrationReport | None:
    """The images that ranges came from: the same for every file of a build."""
    folder = _calibration(judged)
    return None if folder is None else calibration_of(folder)


def calibration_notes(judged: tuple[JudgedArtifact, ...]) -> tuple[Hazard, ...]:
    """What to know of the calibration images: too few of them, or some left out."""
    folder = _calibration(judged)
    return () if folder is None else calibration_hazards(folder)


def threshold_notes(judged: tuple[JudgedArtifact, ...], usual: Decode | None) -> tuple[Hazard, ...]:
    """Files that show at another score what the original shows: an app must know."""
    found = [(one.made.artifact.id, one.made.artifact.binding.own_confidence) for one in judged]
    return tuple(
        Hazard(
            name="a threshold of its own",
            found=f"{name} shows what the original shows at {usual.confidence:g} from {own:g} on",
            next_step="let the app take the binding's decode_override before the contract's decode",
        )
        for name, own in found
        if own is not None and usual is not None
    )


def _calibration(judged: tuple[JudgedArtifact, ...]) -> Path | None:
    return next((one.calibration for one in judged if one.calibration is not None), None)


def chosen(
    artifacts: tuple[ArtifactReport, ...],
    latencies: Mapping[str, float],
    targets: tuple[TargetName, ...],
) -> tuple[tuple[ParetoPoint, ...], tuple[Recommendation, ...]]:
    """The accepted files among each other, and one for each target."""
    from phoneproof.verify.choosing import pareto, recommend

    points = pareto(artifacts, latencies)
    found = (recommend(artifacts, points, target) for target in targets)
    return points, tuple(one for one in found if one is not None)
