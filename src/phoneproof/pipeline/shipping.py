"""The last stage: compose the report, then write the bundle, or only the report of a refusal."""

from __future__ import annotations

import datetime
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from phoneproof.core.artifact import file_sha256
from phoneproof.core.capture import Capture
from phoneproof.core.check import worst_verdict
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.core.report import ArtifactReport, DatasetReport, Report, SplitReport
from phoneproof.core.search import ContractSearch
from phoneproof.pipeline.apple_images import run_on
from phoneproof.pipeline.apple_report import with_feeding
from phoneproof.pipeline.artifact_chain import JudgedArtifact
from phoneproof.pipeline.cache import storage_errors
from phoneproof.pipeline.chain_report import chain_report
from phoneproof.pipeline.examine import (
    Examined,
    calibration_notes,
    calibration_report,
    chosen,
    threshold_notes,
)
from phoneproof.pipeline.gate import GateResult
from phoneproof.pipeline.pack_step import PackStep
from phoneproof.pipeline.preflight import NO_PREFLIGHT, PreflightResult, with_preflight
from phoneproof.pipeline.request import BuildRequest
from phoneproof.pipeline.step import tool_versions
from phoneproof.pipeline.workshop import Workshop
from phoneproof.verify.limits import Limits

if TYPE_CHECKING:
    from phoneproof.package.contact_sheet import Tile

REFUSED_SUFFIX = "-refused"
_WORST_IMAGES = 4
_REPORT_TOOLS = ("phoneproof", "numpy", "opencv-python-headless", "pillow")


@dataclass(frozen=True, kw_only=True)
class Built:
    """Everything a build has made and measured; no artifact where the gate refused."""

    gate: GateResult
    judged: tuple[JudgedArtifact, ...] = ()
    examined: Examined = field(default_factory=Examined)
    preflight: PreflightResult = NO_PREFLIGHT
    search: ContractSearch | None = None


def ship(
    request: BuildRequest, workshop: Workshop, built: Built, *, seconds: float
) -> tuple[Report, Path]:
    """Write the bundle where everything is accepted, else the report alone.

    Returns:
        The report and the folder it lies in.
    """
    gate, judged, tiles = built.gate, built.judged, built.preflight.tiles
    report = with_preflight(
        compose_report(
            request,
            built,
            seconds=seconds,
            peak_rss_bytes=workshop.cache.peak_rss_bytes,
        ),
        built.preflight,
    )
    if not report.accepted:
        return report, _write_refusal(request, report, gate, judged, tiles)
    _write_bundle(request, workshop, report, gate, judged, tiles)
    shutil.rmtree(_refusal_folder(request), ignore_errors=True)
    return report, request.destination


def compose_report(
    request: BuildRequest, built: Built, *, seconds: float, peak_rss_bytes: int
) -> Report:
    """Everything measured, as one object."""
    gate, judged = built.gate, built.judged
    artifacts = tuple(
        _artifact_report(
            one,
            request.limits_for(
                one.held_to or one.made.artifact.requested, one.made.artifact.format
            ),
            built.examined,
            request.contract,
        )
        for one in judged
    )
    points, recommended = chosen(artifacts, built.examined.latencies, request.targets)
    capture = Capture(
        source_name=request.source.name,
        source_format=request.inspection.format,
        source_sha256=request.source.sha256,
        importer=gate.hub.info.importer,
        hub_sha256=gate.hub.info.sha256,
        contract=request.contract,
        binding=gate.hub.binding,
        evidence=request.inspection.evidence,
        hazards=request.inspection.hazards,
    )
    verdicts = (
        worst_verdict(tuple(c.verdict for c in gate.checks if c.gating)),
        *(one.verdict for one in judged),
    )
    return Report(
        verdict=worst_verdict(verdicts),
        accepted=gate.passed and all(one.accepted for one in judged),
        undecided=request.checks.undecided,
        name=request.contract.name,
        version=request.contract.version,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        capture=capture,
        source=gate.source,
        gate=gate.checks,
        refused_importers=gate.refused,
        artifacts=artifacts,
        classic=chain_report(judged),
        search=built.search,
        calibration=calibration_report(judged),
        pareto=points,
        recommended=recommended,
        datasets=(_dataset_report(request),),
        tools=tool_versions(_REPORT_TOOLS),
        hazards=(
            *request.inspection.hazards,
            *request.hazards,
            *calibration_notes(judged),
            *threshold_notes(judged, request.contract.decode),
        ),
        seconds=round(seconds, 1),
        peak_rss_bytes=peak_rss_bytes,
    )


def _artifact_report(
    one: JudgedArtifact, limits: Limits, examined: Examined, contract: Contract
) -> ArtifactReport:
    artifact = one.made.artifact
    lineage = artifact.lineage
    facts = examined.facts.get(artifact.id)
    return ArtifactReport(
        id=artifact.id,
        format=artifact.format,
        requested=artifact.requested,
        precision=artifact.precision,
        path=artifact.path,
        bytes=artifact.bytes,
        sha256=artifact.sha256,
        parent=lineage.parent,
        step=lineage.step,
        options=with_feeding(artifact, contract),
        tools=lineage.tools,
        seconds=lineage.seconds,
        peak_rss_bytes=lineage.peak_rss_bytes,
        verdict=one.verdict,
        accepted=one.accepted,
        checks=one.checks,
        scores=one.measured.scores,
        divergence=one.divergence,
        attempts=one.attempts,
        sensitivity=one.sensitivity,
        read_back=facts.read_back if facts is not None else None,
        phone=facts.phone if facts is not None else (),
        confidence=artifact.binding.own_confidence,
        limits=tuple((name, getattr(limits, name)) for name in limits.__struct_fields__),
    )


def _dataset_report(request: BuildRequest) -> DatasetReport:
    images = request.images
    return DatasetReport(
        role="evaluation",
        kind=request.dataset_kind,
        n=len(images.items),
        labelled=images.labelled,
        splits=tuple(
            SplitReport(split=one.split, n=len(one.items), hash=one.ref.hash)
            for one in _distinct(request)
        ),
        skipped=images.skipped,
    )


def _distinct(request: BuildRequest) -> tuple[ImageSet, ...]:
    """All images, those that a slow runtime is left to, and what quantization divides them into."""
    splits, size = request.splits, request.contract.image.size
    judged_on = [run_on(one.format, request.images, size) for one in request.artifacts]
    some = [one for one in {one.ref: one for one in judged_on}.values() if one != request.images]
    if splits is None:
        return (request.images, *some)
    parts = (splits.calibration, splits.selection, splits.confirmation)
    named = [one for one in parts if one.items and one.split != request.images.split]
    return (request.images, *some, *named)


def _write_bundle(
    request: BuildRequest,
    workshop: Workshop,
    report: Report,
    gate: GateResult,
    judged: tuple[JudgedArtifact, ...],
    tiles: tuple[Tile, ...],
) -> None:
    from phoneproof.package.bundle import BundleContents, write_bundle
    from phoneproof.pipeline.worst import comparisons

    artifacts = tuple((one.made.artifact, one.made.path) for one in judged)
    pack = workshop.cache.result(
        PackStep(
            contract=request.contract,
            # Nothing runs a bundle's hub program again: see verify_bundle.
            artifacts=tuple(pair for pair in artifacts if pair[0].format != "hub"),
            baseline=gate.baseline,
            pictures=tuple((path, file_sha256(path)) for path in request.golden),
        )
    )
    write_bundle(
        request.destination,
        BundleContents(
            contract=request.contract,
            report=report,
            artifacts=artifacts,
            golden=pack.folder / "golden",
            baseline=pack.folder / "baseline",
            comparisons=comparisons(request, gate, judged, limit=_WORST_IMAGES),
            tiles=tiles,
            engine=request.engine,
        ),
    )


def _write_refusal(
    request: BuildRequest,
    report: Report,
    gate: GateResult,
    judged: tuple[JudgedArtifact, ...],
    tiles: tuple[Tile, ...],
) -> Path:
    from phoneproof.core.json_format import pretty_bytes
    from phoneproof.package.report_html import render_report
    from phoneproof.pipeline.worst import comparisons

    folder = _refusal_folder(request)
    fresh = folder.with_name(f".{folder.name}.new")
    page = render_report(report, comparisons(request, gate, judged, limit=_WORST_IMAGES), tiles)
    try:
        with storage_errors(folder):
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
            (fresh / "report.json").write_bytes(pretty_bytes(report))
            (fresh / "report.html").write_bytes(page.encode())
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _refusal_folder(request: BuildRequest) -> Path:
    return request.destination.with_name(request.destination.name + REFUSED_SUFFIX)
