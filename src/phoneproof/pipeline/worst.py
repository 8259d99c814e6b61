"""The worst images of a build, with both predictions, for the report."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from phoneproof.core.check import Check, Worst
from phoneproof.package.report_html import Comparison
from phoneproof.pipeline.artifact_chain import JudgedArtifact
from phoneproof.pipeline.gate import GateResult
from phoneproof.pipeline.prediction import PREDICTIONS
from phoneproof.pipeline.request import BuildRequest
from phoneproof.pixels.image import read_image
from phoneproof.runtimes.predict import Prediction
from phoneproof.runtimes.prediction_store import read_predictions


def comparisons(
    request: BuildRequest, gate: GateResult, judged: tuple[JudgedArtifact, ...], *, limit: int
) -> tuple[Comparison, ...]:
    """At most `limit` images an artifact, those of failed checks first, each image once."""
    if request.contract.task == "raw":
        return ()
    return tuple(
        comparison
        for one in judged
        for comparison in _of_artifact(request, gate.baseline, one, limit)
    )


def _of_artifact(
    request: BuildRequest, baseline: Path, one: JudgedArtifact, limit: int
) -> Iterator[Comparison]:
    picked = dict(list(_worst_first(one.checks))[:limit])
    before = _picked(baseline, picked.keys())
    after = _picked(one.run, picked.keys())
    paths = {item.sha256: item.path for item in request.images.items}
    for sha256, (check, worst) in picked.items():
        yield Comparison(
            artifact=one.made.artifact.id,
            check=check.name,
            image=worst.image,
            value=worst.value,
            note=worst.note,
            rgb=read_image(paths[sha256], request.contract.image),
            baseline=before[sha256].app,
            candidate=after[sha256].app,
        )


def _worst_first(checks: tuple[Check, ...]) -> Iterator[tuple[str, tuple[Check, Worst]]]:
    seen: set[str] = set()
    for check in sorted(checks, key=lambda c: (not c.gating, c.verdict == "pass")):
        for worst in check.worst:
            if worst.sha256 not in seen:
                seen.add(worst.sha256)
                yield worst.sha256, (check, worst)


def _picked(run: Path, wanted: Collection[str]) -> dict[str, Prediction]:
    return {one.sha256: one for one in read_predictions(run / PREDICTIONS) if one.sha256 in wanted}
