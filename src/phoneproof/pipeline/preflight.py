"""Pre-flight: the captured model on production pictures, before anything is converted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from phoneproof.core.capture import Hazard
from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import ConfigError, VerificationFailed
from phoneproof.core.events import Event, Listener, silence
from phoneproof.core.preflight import Preflight, PreflightReport, RecordedMetric
from phoneproof.core.report import DatasetReport, Report, SplitReport
from phoneproof.pipeline.config_types import Config
from phoneproof.pipeline.gate import GateResult, make_hub, pass_gate, start_baseline
from phoneproof.pipeline.preflight_steps import (
    TILES,
    FactsStep,
    PreflightStep,
    RecordedMetrics,
    RecordedStep,
    findings,
    recorded,
)
from phoneproof.pipeline.prepare import prepare
from phoneproof.pipeline.request import BuildRequest
from phoneproof.pipeline.workshop import Workshop, open_workshop

if TYPE_CHECKING:
    from phoneproof.package.contact_sheet import Tile

STEP = "production"
"""What events of the summary are called."""

PAGE_SUFFIX = "-preflight.html"


@dataclass(frozen=True, kw_only=True)
class PreflightResult:
    """What the build learns of production pictures, and of the metrics recorded in the source.

    production: null where no such pictures were named. tiles: the drawn contact sheet. page: the
    page that was written for people to look at while the conversion runs; null without pictures.
    """

    production: Preflight | None = None
    recorded: tuple[RecordedMetric, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    tiles: tuple[Tile, ...] = ()
    page: Path | None = None


NO_PREFLIGHT = PreflightResult()
"""Of a build whose gate refused the capture."""


@dataclass(frozen=True, kw_only=True)
class PreflightOutcome:
    """What ``phoneproof preflight`` prints, and the page it wrote."""

    report: PreflightReport
    page: Path
    summary: str


def preflight(
    request: BuildRequest,
    workshop: Workshop,
    gate: GateResult,
    *,
    page: Path | None = None,
) -> PreflightResult:
    """Look at the request's production pictures with the hub that passed the gate.

    Without such pictures only recorded metrics are compared. The workshop's listener hears one
    warning event with the summary and the page's path.

    Args:
        gate: passed.
        page: where the page is written; by default beside where the bundle will be.

    Raises:
        InvalidInput: a picture that cannot be decoded.
    """
    known = _recorded(request, workshop, gate)
    if request.production is None:
        return PreflightResult(recorded=known.metrics, hazards=known.hazards)
    step = workshop.cache.result(_step(request, workshop, gate, request.production))
    result = _result(step.folder, known.metrics, known.hazards)
    where = page or request.destination.with_name(request.destination.name + PAGE_SUFFIX)
    _write_page(request, result, where)
    if result.production is not None:
        from phoneproof.package.preflight_words import summary_line

        message = f"{summary_line(result.production)}; see {where}"
        workshop.listener(Event(step=STEP, state="warning", message=message))
    return PreflightResult(
        production=result.production,
        recorded=result.recorded,
        hazards=result.hazards,
        tiles=result.tiles,
        page=where,
    )


def _recorded(request: BuildRequest, workshop: Workshop, gate: GateResult) -> RecordedMetrics:
    """The metrics that came with the source beside what it reaches here."""
    if not request.inspection.evidence.metrics:
        return RecordedMetrics()
    step = RecordedStep(
        recorded=request.inspection.evidence.metrics,
        baseline=gate.source_run,
        images=request.images,
        contract=request.contract,
    )
    return recorded(workshop.cache.result(step).folder)


def run_preflight(
    config: Config, *, workspace: Path, page: Path, listener: Listener = silence
) -> PreflightOutcome:
    """Capture, gate and pre-flight alone: nothing is converted.

    Raises:
        ConfigError: no ``[data] production``. VerificationFailed: the gate refused the capture.
    """
    if config.data.production is None:
        raise ConfigError(
            "no production images are named",
            next_step='add production = "FOLDER" to [data]: unlabelled pictures as the app '
            "will see them",
        )
    with open_workshop(workspace, listener) as workshop:
        request = prepare(config, workshop, listener)
        baseline = start_baseline(request, workshop)
        gate = pass_gate(request, workshop, make_hub(request, workshop, 0), baseline)
        _require_passed(gate)
        result = preflight(request, workshop, gate, page=page)
    return _outcome(request, result, page)


def _outcome(request: BuildRequest, result: PreflightResult, page: Path) -> PreflightOutcome:
    from phoneproof.package.preflight_words import summary_line

    report = preflight_report(request, result)
    return PreflightOutcome(report=report, page=page, summary=summary_line(report.production))


def with_preflight(report: Report, result: PreflightResult) -> Report:
    """The build's report with what pre-flight found."""
    production = result.production
    datasets = report.datasets
    if production is not None:
        split = SplitReport(split="all", n=production.n, hash=production.dataset.hash)
        datasets += (
            DatasetReport(
                role="production",
                kind="images",
                n=production.n,
                labelled=False,
                splits=(split,),
                skipped=production.skipped,
            ),
        )
    return msgspec.structs.replace(
        report,
        preflight=production,
        recorded=result.recorded,
        hazards=(*report.hazards, *result.hazards),
        datasets=datasets,
    )


def preflight_report(request: BuildRequest, result: PreflightResult) -> PreflightReport:
    """The result as one document; `result` must have production pictures."""
    if result.production is None:
        raise ValueError("no production pictures were looked at")
    return PreflightReport(
        name=request.contract.name,
        version=request.contract.version,
        production=result.production,
        recorded=result.recorded,
        hazards=result.hazards,
    )


def _step(
    request: BuildRequest, workshop: Workshop, gate: GateResult, production: ImageSet
) -> PreflightStep:
    sets = (("evaluation", request.images), ("production", production))
    facts = [
        workshop.start(FactsStep(label=label, contract=request.contract, images=images))
        for label, images in sets
    ]
    before, after = (future.result().folder for future in facts)
    return PreflightStep(
        hub=gate.hub.path,
        hub_sha256=gate.hub.info.sha256,
        contract=request.contract,
        binding=gate.hub.binding,
        images=production,
        facts=after,
        evaluation=request.images,
        evaluation_facts=before,
        baseline=gate.baseline,
    )


def _result(
    folder: Path, metrics: tuple[RecordedMetric, ...], hazards: tuple[Hazard, ...]
) -> PreflightResult:
    from phoneproof.package.contact_sheet import Tile

    found = findings(folder)
    production = found.preflight
    tiles = tuple(
        Tile(
            image=name,
            sha256=sha256,
            jpeg=(folder / TILES / f"{sha256}.jpg").read_bytes(),
            width=width,
            height=height,
        )
        for sha256, name, (width, height) in zip(
            production.shown, found.names, found.sizes, strict=True
        )
    )
    return PreflightResult(
        production=production,
        recorded=metrics,
        hazards=(*hazards, *production.hazards),
        tiles=tiles,
    )


def _write_page(request: BuildRequest, result: PreflightResult, page: Path) -> None:
    from phoneproof.formats.model_file import write_bytes
    from phoneproof.package.preflight_html import render_preflight
    from phoneproof.pipeline.cache import storage_errors

    text = render_preflight(preflight_report(request, result), result.tiles)
    with storage_errors(page):
        page.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(page, text.encode())


def _require_passed(gate: GateResult) -> None:
    if gate.passed:
        return
    failed = [check for check in gate.checks if check.gating and check.verdict == "fail"]
    first = failed[0] if failed else None
    raise VerificationFailed(
        "the captured program does not give the outputs of the source",
        found="" if first is None else f"{first.name} {first.slice} is {first.value}",
        next_step="phoneproof build writes a report of what was measured",
    )
