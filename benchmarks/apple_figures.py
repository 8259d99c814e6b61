"""What is said of one Apple artifact, and how far its float32 files are from their hub program."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from phoneproof.core.artifact import tree_sha256
from phoneproof.core.binding import Binding, InputBinding
from phoneproof.core.contract import Contract
from phoneproof.core.json_format import parse
from phoneproof.core.report import ArtifactReport, Report
from phoneproof.pipeline.artifact_steps import MADE, Made
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor
from phoneproof.runtimes.base import RUNTIMES, Session, Tensor

HUB_FILE = "hub.pt2"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One artifact. verdict: of its checks, or the error that there is no file.

    n: images it was run on. snr_db: of the output that is worst off. failed: gating checks that
    did not pass, with their values. islands: layers that stay float32. held: what read-back (of
    Core AI: Apple's library) counts in the file. to_hub: largest absolute difference from the hub
    program relative to the largest magnitude, of the output where that is largest; at float32.
    seconds: of the step that wrote it and of its tries.
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
    seconds: float = 0.0


def figures(artifact: ArtifactReport) -> Figures:
    """Drawn from the report."""
    decibels = [c.value for c in artifact.checks if c.name == "snr_db" and c.value is not None]
    kept = dict(artifact.options).get("float32_layers")
    said = next((check for check in artifact.checks if check.runtime), None)
    layers = json.loads(kept) if kept is not None else None
    return Figures(
        verdict=artifact.verdict if artifact.accepted else f"refused ({artifact.verdict})",
        n=max((check.n for check in artifact.checks), default=0),
        runtime=said.runtime if said is not None else "",
        snr_db=round(min(decibels), 1) if decibels else None,
        failed="; ".join(
            f"{c.name} {c.slice} {c.value}".replace("  ", " ")
            for c in artifact.checks
            if c.gating and c.verdict != "pass"
        ),
        islands=len(layers) if layers is not None else None,
        layers=", ".join(layers or ()),
        held=held(artifact),
        megabytes=round(artifact.bytes / 1e6, 2),
        tries=len(artifact.attempts),
        seconds=round(artifact.seconds, 1),
    )


def held(artifact: ArtifactReport) -> str:
    """``float16 91 %, float32 9 %`` of the weights, where they were counted."""
    read = artifact.read_back
    if read is None or not read.shares:
        return artifact.precision
    shares = sorted(read.shares, key=lambda share: -share.weights)
    return ", ".join(f"{one.dtype} {one.weights:.0%}".replace("%", " %") for one in shares)


def differences(report: Report, workspace: Path, images: Path) -> dict[str, float]:
    """Id of a float32 artifact -> its largest relative difference from the hub program.

    Both get the same pictures; what a file does to scale them itself is part of the difference.
    """
    floats = [one for one in report.artifacts if one.precision == "float32" and not one.attempts]
    if not floats:
        return {}
    steps = workspace / "steps"
    sources = [one for one in floats if one.step.startswith("convert")]
    found: dict[str, float] = {}
    contract = report.capture.contract
    for one in sources:
        hub = next(p for p in steps.glob(f"*/{HUB_FILE}") if tree_sha256(p) == one.parent)
        path, binding = _made(steps, one.sha256)
        found[one.id] = difference(
            (RUNTIMES.load("hub").open(hub), RUNTIMES.load(one.format).open(path)),
            contract,
            binding,
            images,
        )
    return found


def _made(steps: Path, sha256: str) -> tuple[Path, Binding]:
    for record in steps.glob(f"*/{MADE}"):
        made = parse(record.read_bytes(), Made, what=str(record))
        path = record.parent / made.file
        if tree_sha256(path) == sha256:
            return path, made.model.binding
    raise LookupError(sha256)


def difference(
    sessions: tuple[Session, Session], contract: Contract, binding: Binding, images: Path
) -> float:
    """max |file - hub| / max |hub| over the images, of the output where it is largest."""
    hub, _ = sessions
    inputs = hub_input(hub, binding.image), binding.image
    apart = np.zeros(len(hub.outputs))
    largest = np.zeros(len(hub.outputs))
    for picture in sorted(images.iterdir()):
        rgb = read_image(picture, contract.image)
        expected, found = (
            outputs(session, Preprocessor(contract.image, one).prepare(rgb).tensor)
            for session, one in zip(sessions, inputs, strict=True)
        )
        apart = np.maximum(apart, [_peak(a - b) for a, b in zip(found, expected, strict=True)])
        largest = np.maximum(largest, [_peak(b) for b in expected])
    return float(np.max(apart / np.maximum(largest, np.finfo(np.float64).tiny)))


def hub_input(hub: Session, image: InputBinding) -> InputBinding:
    """The hub's image input: the file's without scaling, in the hub's own layout."""
    spec = hub.inputs[0]
    return msgspec.structs.replace(
        image,
        tensor=spec.name,
        shape=spec.shape,
        dtype=spec.dtype,
        layout=image.layout if spec.shape == image.shape else "NHWC",
        normalise_in_file=False,
    )


def outputs(session: Session, image: Tensor) -> list[Tensor]:
    """All outputs in the session's order, as float64."""
    results = session.run({session.inputs[0].name: image})
    return [results[spec.name].astype(np.float64) for spec in session.outputs]


def _peak(values: Tensor) -> float:
    return float(np.max(np.abs(values), initial=0.0))
