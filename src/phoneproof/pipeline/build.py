"""One build: gate the capture, make and judge every artifact, write the bundle or the refusal."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from phoneproof.core.events import Listener, silence
from phoneproof.core.report import Report
from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact
from phoneproof.pipeline.config_types import Config, TargetName
from phoneproof.pipeline.examine import examine, read_once_judged
from phoneproof.pipeline.gate import (
    Hub,
    make_hub,
    pass_gate,
    start_artifact_baseline,
    start_baseline,
    with_checks,
)
from phoneproof.pipeline.preflight import preflight
from phoneproof.pipeline.prepare import prepare
from phoneproof.pipeline.request import BuildRequest
from phoneproof.pipeline.search.contract_check import contract_search, search_checks
from phoneproof.pipeline.shipping import Built, ship
from phoneproof.pipeline.step import StepResult
from phoneproof.pipeline.workshop import Workshop, open_workshop


@dataclass(frozen=True, kw_only=True)
class BuildOutcome:
    """The report, and the folder it lies in: the bundle, or the report of a refusal."""

    report: Report
    folder: Path


def build(
    config: Config,
    *,
    workspace: Path,
    targets: tuple[TargetName, ...] = (),
    budget: float | None = None,
    listener: Listener = silence,
) -> BuildOutcome:
    """Everything from a configuration to a bundle.

    Args:
        workspace: where the cache lies; finished steps are kept there whatever happens.
        targets: only these of the configured targets; empty means all.
        budget: seconds that each repair ladder may take; null: `DEFAULT_BUDGET`.
        listener: hears what happens.

    Returns:
        An outcome whose report says whether the artifacts are accepted; a refused build writes
        its report beside where the bundle would be, and no artifact.

    Raises:
        PhoneproofError: bad input or configuration, or a step that broke.
    """
    started = time.monotonic()
    with open_workshop(workspace, listener) as workshop:
        request = prepare(config, workshop, listener, targets=targets, budget=budget)
        return run_request(request, workshop, started=started)


def run_request(request: BuildRequest, workshop: Workshop, *, started: float) -> BuildOutcome:
    """Build what was requested. `started`: `time.monotonic()` when the work began."""
    from phoneproof.package.bundle import require_destination

    require_destination(request.destination)
    built = _make(request, workshop)
    report, folder = ship(request, workshop, built, seconds=time.monotonic() - started)
    return BuildOutcome(report=report, folder=folder)


def _make(request: BuildRequest, workshop: Workshop) -> Built:
    baseline = start_baseline(request, workshop)
    searching = workshop.call(partial(contract_search, request, workshop))
    hub = make_hub(request, workshop, 0)
    # Conversion begins before the gate has spoken: it nearly always passes, and where it does
    # not, the artifacts of a refused hub are never looked at. Production pictures come first.
    early = request.production is None
    futures = _start_artifacts(request, workshop, hub, baseline) if early else ()
    gate = pass_gate(request, workshop, hub, baseline)
    search = searching.result()
    gate = with_checks(gate, search_checks(request, search))
    if gate.hub is not hub or not gate.passed:
        for future in futures:
            future.cancel()
    if not gate.passed:
        return Built(gate=gate, search=search)
    looked_at = preflight(request, workshop, gate)
    if gate.hub is not hub or not early:
        futures = _start_artifacts(request, workshop, gate.hub, baseline)
    reading = read_once_judged(workshop, futures)
    judged = tuple(future.result() for future in futures)
    examined = examine(workshop, judged, reading, timed=request.splits is not None)
    return Built(gate=gate, judged=judged, examined=examined, preflight=looked_at, search=search)


def _start_artifacts(
    request: BuildRequest, workshop: Workshop, hub: Hub, baseline: Future[StepResult]
) -> tuple[Future[JudgedArtifact], ...]:
    compared_with = start_artifact_baseline(request, workshop, hub, baseline)
    chain = ArtifactChain(request=request, workshop=workshop, hub=hub, baseline=compared_with)
    return chain.start()
