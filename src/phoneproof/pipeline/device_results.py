"""Judging what devices measured of a bundle's artifacts, and adding it to the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from phoneproof.core.artifact import STORED, Artifact, file_sha256
from phoneproof.core.binding import Precision
from phoneproof.core.check import Check, Verdict, artifact_verdict, worst_verdict
from phoneproof.core.device_results import (
    Accelerator,
    AcceleratorReport,
    DeviceReport,
    DeviceResults,
)
from phoneproof.core.errors import InvalidInput
from phoneproof.core.json_format import pretty_bytes
from phoneproof.core.tolerances import FLOAT32_RAW_RELATIVE
from phoneproof.package.bundle import GOLDEN, MODEL_CARD, REPORT, REPORT_PAGE, Bundle
from phoneproof.package.bundle_rewrite import rewrite_bundle
from phoneproof.package.device_check import Recorded, accelerator_checks
from phoneproof.package.device_document import read_device_results
from phoneproof.package.device_tally import DeviceLimits
from phoneproof.package.golden import INDEX
from phoneproof.package.golden_check import read_golden
from phoneproof.package.golden_steps import Steps, steps_of
from phoneproof.package.model_card import model_card
from phoneproof.package.report_html import with_devices
from phoneproof.pipeline.recorded_limits import recorded_limits
from phoneproof.verify.limits import FLOAT16_LIMITS, FLOAT32_LIMITS, FLOATS, Limits

DEVICE_RESULTS = "device-results"

_HALF: Final[frozenset[Precision]] = STORED | {"float16", "sparse"}
"""Phones compute these in float16, whatever their weights are stored in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedDocument:
    """One document and what it comes to. data: its bytes, as they came."""

    report: DeviceReport
    data: bytes


def judge_device_results(bundle: Bundle, path: Path) -> JudgedDocument:
    """Judge one document by the bundle's own golden vectors and limits.

    Raises:
        InvalidInput: it cannot be read, or speaks of another artifact, contract or golden
            vectors than the bundle's.
        VerificationFailed: a golden file is missing or altered.
    """
    document, data, sha256 = read_device_results(path)
    artifact = _artifact_of(bundle, document, path)
    accelerators = tuple(_judge(bundle, artifact, document, one) for one in document.accelerators)
    verdicts = tuple(one.verdict for one in accelerators if one.verdict is not None)
    # Where nothing could run, nothing is known.
    verdict: Verdict = worst_verdict(verdicts) if verdicts else "undecided"
    return JudgedDocument(
        report=DeviceReport(
            file=f"{DEVICE_RESULTS}/{artifact.id}-{sha256[:12]}.json",
            sha256=sha256,
            artifact=artifact.id,
            device=document.device,
            engine=f"{document.engine} {document.engine_version}".strip(),
            made_by=document.made_by,
            created=document.created,
            verdict=verdict,
            accelerators=accelerators,
        ),
        data=data,
    )


def add_to_bundle(bundle: Bundle, judged: Sequence[JudgedDocument]) -> None:
    """Keep the documents in the bundle, and draw report, page and model card again.

    The same document given twice is kept once.

    Raises:
        StorageError: the bundle cannot be written; it is then as it was.
    """
    new = {one.report.file: one.report for one in judged}
    kept = [one for one in bundle.report.devices if one.file not in new]
    devices = sorted(
        (*kept, *new.values()),
        key=lambda one: (one.artifact, one.device.title, one.created, one.sha256),
    )
    report = msgspec.structs.replace(bundle.report, devices=tuple(devices))
    page = (bundle.folder / REPORT_PAGE).read_text("utf-8")
    rewrite_bundle(
        bundle,
        {
            REPORT: pretty_bytes(report),
            REPORT_PAGE: with_devices(page, report).encode(),
            MODEL_CARD: model_card(report).encode(),
            **{one.report.file: one.data for one in judged},
        },
    )


def _artifact_of(bundle: Bundle, document: DeviceResults, path: Path) -> Artifact:
    """The artifact that was on the device."""
    manifest = bundle.manifest
    found = [one for one in manifest.artifacts if one.sha256 == document.artifact]
    if not found:
        known = ", ".join(f"{one.id} {one.sha256[:12]}" for one in manifest.artifacts)
        raise InvalidInput(
            f"{path.name} speaks of an artifact that is not in {manifest.name} {manifest.version}",
            found=f"artifact {document.artifact[:12]}; the bundle holds {known or 'none'}",
            next_step="run the kit of this very bundle, or name the bundle that was on the device",
        )
    index = bundle.folder / GOLDEN / INDEX
    faults = []
    if document.contract != manifest.contract:
        faults.append("another contract")
    if index.is_file() and document.golden != file_sha256(index):
        faults.append("other golden vectors")
    if faults:
        raise InvalidInput(
            f"{path.name} was measured with {' and '.join(faults)}",
            found=f"contract {document.contract[:12]}, golden index {document.golden[:12]}",
            next_step="run the kit of this very bundle again",
        )
    return found[0]


def _judge(
    bundle: Bundle, artifact: Artifact, document: DeviceResults, accelerator: Accelerator
) -> AcceleratorReport:
    verdict: Verdict | None = "fail" if accelerator.state == "failed" else None
    checks: tuple[Check, ...] = ()
    if accelerator.state == "ran":
        device = document.device
        told = artifact.requested in FLOATS or artifact.precision == "mixed"
        kind = artifact.requested if told else artifact.precision
        floats = kind in FLOATS or kind in _HALF
        checks = accelerator_checks(
            Recorded(
                folder=bundle.folder / GOLDEN,
                index=read_golden(bundle.folder / GOLDEN),
                contract=bundle.contract,
                artifact=artifact,
                limits=_limits(
                    kind,
                    recorded_limits(bundle.report, artifact),
                    in_half=artifact.format == "tflite" and accelerator.precision == "float16",
                ),
                steps=Steps() if floats else steps_of(artifact, bundle.path_of(artifact)),
            ),
            accelerator,
            engine=f"{document.engine} {document.engine_version}".strip(),
            device=f"{device.title}, {accelerator.title}",
        )
        verdict = artifact_verdict(checks)
    return AcceleratorReport(
        kind=accelerator.kind,
        title=accelerator.title,
        state=accelerator.state,
        reason=accelerator.reason,
        verdict=verdict,
        checks=checks,
        placed=accelerator.placed,
        load_ms=accelerator.load_ms,
        latency=accelerator.latency,
        sustained=accelerator.sustained,
        thermal=accelerator.thermal,
    )


def _limits(kind: Precision, recorded: Limits, *, in_half: bool) -> DeviceLimits:
    """What an accelerator is held to; the bundle's own limits where it computes as they mean.

    in_half: a float32 file is computed in float16, which GPU delegates of TFLite are told to do.
    Elsewhere a document that says so is not heard: it would loosen what it is held to by a word.
    """
    if kind == "float32" and in_half:
        return _float_limits(FLOAT16_LIMITS, "; by the limits of float16, which it computes in")
    if kind == "float32":
        return _float_limits(_loosened(FLOAT32_LIMITS, recorded), "")
    if kind == "float16":
        return _float_limits(_loosened(FLOAT16_LIMITS, recorded), "")
    if kind in _HALF:
        return _float_limits(FLOAT16_LIMITS, "; by the limits of float16, which it computes in")
    return DeviceLimits(
        relative=FLOAT32_RAW_RELATIVE, snr_db=None, score=0.0, words="; beyond two steps"
    )


def _loosened(defaults: Limits, recorded: Limits) -> Limits:
    """The precision's limits, or the bundle's own where those ask less.

    What a build asked more of its file does not carry over: there the file is held against
    float32; a device and the recorded values are two such files, with the noise of both.
    """
    looser = {
        "max_abs": _largest(defaults.max_abs, recorded.max_abs),
        "max_abs_relative": _largest(defaults.max_abs_relative, recorded.max_abs_relative),
        "snr_db": defaults.snr_db,
    }
    if defaults.snr_db is not None and recorded.snr_db is not None:
        looser["snr_db"] = min(defaults.snr_db, recorded.snr_db)
    return msgspec.structs.replace(defaults, **looser)


def _largest(default: float | None, own: float | None) -> float | None:
    return default if default is None or own is None else max(default, own)


def _float_limits(limits: Limits, words: str) -> DeviceLimits:
    return DeviceLimits(
        relative=limits.max_abs_relative,
        snr_db=limits.snr_db,
        score=limits.max_abs or 0.0,
        words=words,
    )
