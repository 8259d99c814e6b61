"""The capture gate: the hub program must equal the source's own runtime, on real images.

Importers compete: they are tried in order and the first whose hub passes wins; the refused ones
stay in the report with what was measured of them.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import msgspec

from phoneproof.capture.hub import with_shapes
from phoneproof.core.binding import Binding
from phoneproof.core.check import Check, artifact_verdict
from phoneproof.core.json_format import parse
from phoneproof.pipeline.artifact_steps import PredictStep
from phoneproof.pipeline.capture_steps import HUB_FILE, HUB_INFO, HubInfo
from phoneproof.pipeline.judge_steps import MeasureStep, measured
from phoneproof.pipeline.request import BuildRequest
from phoneproof.pipeline.step import StepResult
from phoneproof.pipeline.workshop import Workshop


@dataclass(frozen=True, kw_only=True)
class Hub:
    """One importer's hub program: its file, binding, and whether the source agrees with it."""

    path: Path
    info: HubInfo
    binding: Binding


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """The hub that won (or the last one tried) with its checks, and those that were refused."""

    hub: Hub
    baseline: Path
    checks: tuple[Check, ...]
    refused: tuple[tuple[str, tuple[Check, ...]], ...]

    @property
    def passed(self) -> bool:
        """Whether the hub equals the source."""
        return artifact_verdict(self.checks) == "pass"


def start_baseline(request: BuildRequest, workshop: Workshop) -> Future[StepResult]:
    """Begin computing the source's own outputs."""
    return workshop.start(
        request.source.baseline_step(
            contract=request.contract,
            binding=request.hub_binding,
            images=request.images,
        )
    )


def make_hub(request: BuildRequest, workshop: Workshop, importer: int) -> Hub:
    """Export the source with one importer."""
    result = workshop.cache.result(
        request.source.hub_step(
            inspection=request.inspection,
            importer=importer,
            size=request.contract.image.size,
            batch=request.hub_binding.batch,
        )
    )
    info = parse((result.folder / HUB_INFO).read_bytes(), HubInfo, what="hub record")
    binding = with_shapes(request.hub_binding, info.outputs)
    return Hub(
        path=result.folder / HUB_FILE,
        info=info,
        binding=msgspec.structs.replace(binding, artifact=info.sha256),
    )


def judge_hub(
    request: BuildRequest, workshop: Workshop, hub: Hub, baseline: Path
) -> tuple[Check, ...]:
    """Run the hub on the evaluation images and compare it with the baseline."""
    run = workshop.cache.result(
        PredictStep(
            label="hub",
            format="hub",
            path=hub.path,
            sha256=hub.info.sha256,
            contract=request.contract,
            binding=hub.binding,
            images=request.images,
        )
    )
    result = workshop.cache.result(
        MeasureStep(
            label="hub",
            baseline=baseline,
            candidate=run.folder,
            images=request.images,
            contract=request.contract,
            precision="float32",
            limits=request.limits_for("float32"),
            is_hub=True,
        )
    )
    return measured(result.folder).checks


def pass_gate(
    request: BuildRequest, workshop: Workshop, first: Hub, baseline: Future[StepResult]
) -> GateResult:
    """Try importers from `first` on until one passes."""
    folder = baseline.result().folder
    hub, refused = first, []
    checks = judge_hub(request, workshop, hub, folder)
    for importer in range(1, len(first.info.importers)):
        if artifact_verdict(checks) == "pass":
            break
        refused.append((hub.info.importer, checks))
        hub = make_hub(request, workshop, importer)
        checks = judge_hub(request, workshop, hub, folder)
    return GateResult(hub=hub, baseline=folder, checks=checks, refused=tuple(refused))
