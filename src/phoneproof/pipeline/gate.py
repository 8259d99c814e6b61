"""The capture gate: the hub program must equal the source's own runtime, on real images.

Importers compete: they are tried in order and the first whose hub passes wins; the refused ones
stay in the report with what was measured of them. A quantised source has a float hub, which is
held to what rounding explains; afterwards that hub is the baseline of every artifact.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec

from phoneproof.capture.hub import with_shapes
from phoneproof.core.binding import Binding
from phoneproof.core.check import Check
from phoneproof.core.errors import ConversionFailed, PhoneproofError
from phoneproof.core.json_format import parse
from phoneproof.core.report import RefusedImporter
from phoneproof.decode.heads import class_maps
from phoneproof.pipeline.artifact_steps import PredictStep
from phoneproof.pipeline.capture_steps import HUB_FILE, HUB_INFO, HubInfo
from phoneproof.pipeline.judge_steps import MeasureStep, OnLabelsStep, measured
from phoneproof.pipeline.parts import predicted
from phoneproof.pipeline.request import BuildRequest
from phoneproof.pipeline.step import StepResult
from phoneproof.pipeline.workshop import Workshop
from phoneproof.verify.limits import DEQUANTISED_LIMITS
from phoneproof.verify.verdicts import accepted

_ON_LABELS = ("top1", "top5", "map50", "map50_95")
"""What a model reaches by itself, as opposed to what it lost."""


@dataclass(frozen=True, kw_only=True)
class Hub:
    """One importer's hub program: its file, its record and its binding."""

    path: Path
    info: HubInfo
    binding: Binding


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """The hub that won (or the last one tried) with its checks, and those that were refused.

    baseline: the run that artifacts are compared with. source_run: the source's own, which is
    another where the source is quantised. source: what it reaches on the labels.
    """

    hub: Hub
    baseline: Path
    source_run: Path
    checks: tuple[Check, ...]
    passed: bool
    source: tuple[Check, ...] = ()
    refused: tuple[RefusedImporter, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Judged:
    hub: Hub
    run: Path
    checks: tuple[Check, ...]
    passed: bool


def start_baseline(request: BuildRequest, workshop: Workshop) -> Future[StepResult]:
    """Begin computing the source's own outputs."""
    step = request.source.baseline_step(
        contract=request.contract,
        binding=request.hub_binding,
        images=request.images,
    )
    return workshop.call(partial(predicted, workshop, step))


def make_hub(request: BuildRequest, workshop: Workshop, importer: int) -> Hub:
    """Export the source with the importer at that place, or the first after it that can.

    Raises:
        PhoneproofError: what the last importer raised.
    """
    try:
        return _exported(request, workshop, importer)
    except ConversionFailed as error:
        # Soft failures are passed over inside the step. What arrives here ended the whole process:
        # the importers after it still deserve their turn.
        try:
            later = _exported(request, workshop, importer + 1)
        except PhoneproofError:
            raise error from None
        lost = RefusedImporter(importer=f"importer {importer + 1}", reason=error.failed)
        info = msgspec.structs.replace(later.info, failed=(lost, *later.info.failed))
        return Hub(path=later.path, info=info, binding=later.binding)


def pass_gate(
    request: BuildRequest, workshop: Workshop, first: Hub, baseline: Future[StepResult]
) -> GateResult:
    """Try importers from `first` on until one passes."""
    folder = baseline.result().folder
    refused = list(first.info.failed)
    on_labels = _on_labels(request, workshop, folder)
    order = tuple(check for check in on_labels if check.name == "label_order")
    judged = _judge(request, workshop, first, folder, order)
    while not judged.passed and judged.hub.info.remaining:
        info = judged.hub.info
        refused.append(RefusedImporter(importer=info.importer, checks=judged.checks))
        try:
            hub = make_hub(request, workshop, info.place + 1)
        except PhoneproofError as error:
            refused.pop()
            refused.append(RefusedImporter(importer="the importers after it", reason=error.failed))
            break
        refused += hub.info.failed
        judged = _judge(request, workshop, hub, folder, order)
    return GateResult(
        hub=judged.hub,
        baseline=judged.run if request.inspection.quantised else folder,
        source_run=folder,
        checks=judged.checks,
        passed=judged.passed,
        source=tuple(check for check in on_labels if check.name in _ON_LABELS),
        refused=tuple(refused),
    )


def with_checks(gate: GateResult, checks: tuple[Check, ...]) -> GateResult:
    """The result with further checks of the capture; a gating one that failed refuses it."""
    refused = any(check.gating and check.verdict == "fail" for check in checks)
    return replace(gate, checks=(*gate.checks, *checks), passed=gate.passed and not refused)


def start_artifact_baseline(
    request: BuildRequest, workshop: Workshop, hub: Hub, baseline: Future[StepResult]
) -> Future[StepResult]:
    """The run that artifacts of `hub` are compared with: the source's, or a float program's."""
    if not request.inspection.quantised:
        return baseline
    return workshop.call(partial(predicted, workshop, hub_run(request, hub)))


def _exported(request: BuildRequest, workshop: Workshop, importer: int) -> Hub:
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


def hub_run(request: BuildRequest, hub: Hub) -> PredictStep:
    """The step that runs a hub over the evaluation images."""
    return PredictStep(
        label="hub",
        format="hub",
        path=hub.path,
        sha256=hub.info.sha256,
        contract=request.contract,
        binding=hub.binding,
        images=request.images,
    )


def _judge(
    request: BuildRequest,
    workshop: Workshop,
    hub: Hub,
    baseline: Path,
    label_order: tuple[Check, ...],
) -> _Judged:
    """Run the hub on the evaluation images and compare it with the baseline.

    label_order: of the baseline; a float hub's comparison holds it already.
    """
    run = predicted(workshop, hub_run(request, hub))
    quantised = request.inspection.quantised
    limits = DEQUANTISED_LIMITS if quantised else request.limits_for("float32", "hub")
    compared = MeasureStep(
        label="hub",
        baseline=baseline,
        candidate=run.folder,
        images=request.images,
        contract=request.contract,
        precision="static_wi8_ai8" if quantised else "float32",
        limits=limits,
        is_hub=not quantised,
        class_maps=class_maps(request.contract, hub.binding, request.inspection.outputs),
    )
    checks = measured(workshop.cache.result(compared).folder).checks
    if quantised:
        from phoneproof.verify.bounded import without_faint_noise

        checks = without_faint_noise(checks) + label_order
    return _Judged(hub=hub, run=run.folder, checks=checks, passed=accepted(checks, limits))


def _on_labels(request: BuildRequest, workshop: Workshop, run: Path) -> tuple[Check, ...]:
    """The source's metrics and the order of its labels: a matter of the source alone."""
    if not request.images.labelled:
        return ()
    step = OnLabelsStep(run_folder=run, images=request.images, contract=request.contract)
    return measured(workshop.cache.result(step).folder).checks
