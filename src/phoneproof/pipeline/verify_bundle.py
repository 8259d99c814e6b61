"""Verifying a bundle again: hashes, golden vectors, and a re-measure on the user's images.

Needs neither the source nor torch: LiteRT and ONNX Runtime run the artifacts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from phoneproof.core.artifact import Artifact
from phoneproof.core.check import Check, Verdict, artifact_verdict, worst_verdict
from phoneproof.core.dataset import ImageSet
from phoneproof.core.device_results import DeviceReport
from phoneproof.core.errors import InvalidInput, MissingExtra
from phoneproof.core.events import Event, Listener
from phoneproof.formats.coreml.wire import read_image_channels
from phoneproof.package.bundle import BASELINE, GOLDEN, Bundle, read_bundle
from phoneproof.package.golden_check import check_golden
from phoneproof.pipeline.device_results import add_to_bundle, judge_device_results
from phoneproof.pipeline.pack_step import open_artifact
from phoneproof.pipeline.recorded_limits import recorded_limits
from phoneproof.runtimes.base import RUNTIMES
from phoneproof.runtimes.embedded import read_embedded
from phoneproof.runtimes.predict import Prediction, Predictor
from phoneproof.runtimes.prediction_store import read_predictions
from phoneproof.verify.contract_match import contract_match_check
from phoneproof.verify.limits import Limits
from phoneproof.verify.measure import measure
from phoneproof.verify.stand_ins import judged_by_loss, without_stand_ins
from phoneproof.verify.verdicts import accepted

_OWN_EXTRA = "verify"
"""What verifying needs at least; formats whose runtime comes with another extra may stay unrun."""

_HUB_STAYS = "PyTorch evaluates what a hub program holds, and a bundle may come from anywhere"


class VerifiedArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact of the bundle, measured again.

    not_run: why nothing ran it here; empty where it ran. Then only its hash and what it carries
    inside were checked, and its verdict is at best undecided.
    """

    id: str
    not_run: str = ""
    verdict: Verdict
    accepted: bool
    checks: tuple[Check, ...]


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What `phoneproof verify` says. unmatched: images that the baseline has not seen. devices:
    the documents that were given now."""

    bundle: str
    version: str
    verdict: Verdict
    accepted: bool
    files: int
    artifacts: tuple[VerifiedArtifact, ...]
    images: int
    unmatched: int
    devices: tuple[DeviceReport, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Matched:
    """The images that the stored baseline has seen, with its predictions of them."""

    images: ImageSet
    baseline: Known
    unmatched: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """The stored predictions of some images; each pass reads one at a time from the disk."""

    stored: Iterable[Prediction]
    wanted: frozenset[str]

    def __iter__(self) -> Iterator[Prediction]:
        return (one for one in self.stored if one.sha256 in self.wanted)


def verify_bundle(
    folder: Path, *, images: Path | None, results: Sequence[Path] = (), listener: Listener
) -> Verification:
    """Check every hash, run the golden vectors, and re-measure on `images` where given.

    Args:
        results: documents that devices wrote; judged, and then added to the bundle.

    Raises:
        VerificationFailed: a file was altered, is missing or does not belong.
        InvalidInput: not a bundle, none of the images is known to its baseline, or a document
            that is not of this bundle.
        StorageError: the bundle cannot be written.
    """
    bundle = read_bundle(folder)
    listener(Event(step="hashes", state="finished", message=f"{len(bundle.manifest.files)} files"))
    judged = tuple(judge_device_results(bundle, path) for path in results)
    matched = _match(bundle, images, listener) if images is not None else None
    found = tuple(
        _verify(bundle, artifact, matched, listener) for artifact in bundle.manifest.artifacts
    )
    devices = tuple(one.report for one in judged)
    if judged:
        add_to_bundle(bundle, judged)
        listener(Event(step="devices", state="finished", message=f"{len(judged)} added"))
    return Verification(
        bundle=bundle.manifest.name,
        version=bundle.manifest.version,
        verdict=worst_verdict((*(one.verdict for one in found), *(one.verdict for one in devices))),
        accepted=all(one.accepted for one in found)
        and all(one.verdict == "pass" for one in devices),
        files=len(bundle.manifest.files),
        artifacts=found,
        images=len(matched.images.items) if matched else 0,
        unmatched=matched.unmatched if matched else 0,
        devices=devices,
    )


def _verify(
    bundle: Bundle, artifact: Artifact, matched: _Matched | None, listener: Listener
) -> VerifiedArtifact:
    step = f"verify {artifact.id}"
    listener(Event(step=step, state="started"))
    checks = _contract_checks(bundle, artifact)
    if artifact.format == "hub":
        return _unrun(artifact, checks, _HUB_STAYS, listener)
    try:
        runtime = RUNTIMES.load(artifact.format)
    except MissingExtra as error:
        if RUNTIMES.entry(artifact.format).extra == _OWN_EXTRA:
            raise
        return _unrun(artifact, checks, f"{error.failed} ({error.next_step})", listener)
    shown = f"{runtime.name} ({runtime.version})"
    checks += check_golden(
        bundle.folder / GOLDEN,
        bundle.contract,
        [(artifact, bundle.path_of(artifact))],
        open_artifact,
        runtime=shown,
        device=runtime.device,
    )
    limits = recorded_limits(bundle.report, artifact)
    if matched is not None:
        checks += _remeasure(bundle, artifact, matched, limits, (shown, runtime.device), listener)
    verdict = artifact_verdict(checks)
    listener(Event(step=step, state="failed" if verdict == "fail" else "finished"))
    return VerifiedArtifact(
        id=artifact.id, verdict=verdict, accepted=accepted(checks, limits), checks=checks
    )


def _unrun(
    artifact: Artifact, checks: tuple[Check, ...], reason: str, listener: Listener
) -> VerifiedArtifact:
    """Stations of a conversion travel with the bundle; where one is not run, that is said."""
    why = f"not run: {reason}; its hash and what it carries inside were checked"
    verdict = worst_verdict((artifact_verdict(checks), "undecided"))
    state: Literal["failed", "finished"] = "failed" if verdict == "fail" else "finished"
    listener(Event(step=f"verify {artifact.id}", state=state, message=why))
    return VerifiedArtifact(
        id=artifact.id,
        not_run=why,
        verdict=verdict,
        accepted=artifact_verdict(checks) != "fail",
        checks=checks,
    )


def _contract_checks(bundle: Bundle, artifact: Artifact) -> tuple[Check, ...]:
    path = bundle.path_of(artifact)
    carried = read_embedded(path, artifact.format)
    return (
        contract_match_check(
            contract=bundle.contract,
            binding=artifact.binding,
            inside=(carried.contract, carried.binding),
            artifact=artifact.id,
            image_channels=read_image_channels(path) if artifact.format == "coreml" else (),
        ),
    )


def _remeasure(
    bundle: Bundle,
    artifact: Artifact,
    matched: _Matched,
    limits: Limits,
    runtime: tuple[str, str],
    listener: Listener,
) -> tuple[Check, ...]:
    session = open_artifact(artifact, bundle.path_of(artifact))
    step = f"verify {artifact.id}"
    predictions = Predictor(session, bundle.contract, artifact.binding).predict_items(
        matched.images.items,
        with_metric=bundle.contract.task == "detect" and not artifact.binding.rows_vary,
        progress=lambda done, total: listener(
            Event(step=step, state="progress", done=done, total=total)
        ),
    )
    checks = measure(
        baseline=matched.baseline,
        candidate=predictions,
        images=matched.images,
        contract=bundle.contract,
        precision=artifact.requested,
        limits=limits,
        runtime=runtime[0],
        device=runtime[1],
        outputs_kept=False,
        shown_at=artifact.binding.own_confidence,
    ).checks
    recorded = next(one for one in bundle.report.artifacts if one.id == artifact.id)
    return without_stand_ins(checks, limits) if judged_by_loss(recorded.checks) else checks


def _match(bundle: Bundle, images: Path, listener: Listener) -> _Matched:
    from phoneproof.data.load import load_images

    contract = bundle.contract
    found = load_images(
        images,
        contract_labels=contract.labels,
        task=contract.task,
        class_index=contract.class_index,
    )
    baseline = read_predictions(bundle.folder / BASELINE)
    known = {one.sha256 for one in baseline}
    items = tuple(item for item in found.items if item.sha256 in known)
    unmatched = len(found.items) - len(items)
    if not items:
        raise InvalidInput(
            f"the baseline has seen none of the images in {images}",
            found=f"{len(found.items)} image(s) of other content, baseline of {len(known)}",
            next_step="name the folder the bundle was built with (its evaluation images)",
        )
    listener(
        Event(step="images", state="finished", message=f"{len(items)} images, {unmatched} unknown")
    )
    return _Matched(
        images=ImageSet(split=found.split, items=items, skipped=found.skipped),
        baseline=Known(stored=baseline, wanted=frozenset(item.sha256 for item in items)),
        unmatched=unmatched,
    )
