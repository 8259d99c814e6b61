"""How far Apple's float32 files are from the hub program they were made of, and from exact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch.fx import GraphModule
from torch.fx.node import Argument, map_aggregate

from phoneproof.core.artifact import tree_sha256
from phoneproof.core.binding import Binding, InputBinding
from phoneproof.core.contract import Contract
from phoneproof.core.json_format import parse
from phoneproof.core.report import ArtifactReport, Report
from phoneproof.pipeline.artifact_steps import MADE, Made
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor
from phoneproof.runtimes.backends.hub import load_hub
from phoneproof.runtimes.base import RUNTIMES, Session, Tensor

HUB_FILE = "hub.pt2"
PICTURES = 4
"""Rounding is much the same on every picture, and float64 is slow."""


@dataclass(frozen=True, kw_only=True)
class Apart:
    """Largest relative differences of one file, and of the hub program itself from exact."""

    to_hub: float
    to_exact: float
    hub_to_exact: float


class ExactHub:
    """The hub program in float64: what all of its runtimes round."""

    def __init__(self, path: Path) -> None:
        program, _ = load_hub(path)
        exported = program.module(check_guards=False)
        self._module = GraphModule(exported, exported.graph).double()
        for node in self._module.graph.nodes:
            node.args = map_aggregate(node.args, _widened)
            node.kwargs = map_aggregate(node.kwargs, _widened)
        self._module.recompile()

    def run(self, image: Tensor) -> list[Tensor]:
        """All outputs in the hub's order, float64."""
        with torch.no_grad():
            results = self._module(torch.from_numpy(image).double())
        several = results if isinstance(results, (tuple, list)) else [results]
        return [one.double().numpy() for one in several]


def _widened(argument: Argument) -> Argument:
    return torch.float64 if argument is torch.float32 else argument


def differences(report: Report, workspace: Path, images: Path) -> dict[str, Apart]:
    """Id of a float32 artifact -> how far apart.

    Both get the same pictures; what a file does to scale them itself is part of the difference.
    """
    floats = [one for one in report.artifacts if one.precision == one.requested == "float32"]
    return {one.id: _difference(one, report.capture.contract, workspace, images) for one in floats}


def _difference(
    artifact: ArtifactReport, contract: Contract, workspace: Path, images: Path
) -> Apart:
    steps = workspace / "steps"
    hub = next(p for p in steps.glob(f"*/{HUB_FILE}") if tree_sha256(p) == artifact.parent)
    path, binding = _made(steps, artifact.sha256)
    sessions = RUNTIMES.load("hub").open(hub), RUNTIMES.load(artifact.format).open(path)
    return apart(sessions, ExactHub(hub), contract, binding, images)


def _made(steps: Path, sha256: str) -> tuple[Path, Binding]:
    for record in steps.glob(f"*/{MADE}"):
        made = parse(record.read_bytes(), Made, what=str(record))
        path = record.parent / made.file
        if tree_sha256(path) == sha256:
            return path, made.model.binding
    raise LookupError(sha256)


def apart(
    sessions: tuple[Session, Session],
    exact: ExactHub,
    contract: Contract,
    binding: Binding,
    images: Path,
) -> Apart:
    """max |a - b| / max |b| over the first `PICTURES`, of the output where it is largest.

    Args:
        sessions: of the hub and of the file. binding: the file's.
    """
    hub, file = sessions
    image = hub_input(hub, binding.image)
    pairs: tuple[_Largest, ...] = (_Largest(), _Largest(), _Largest())
    for picture in sorted(images.iterdir())[:PICTURES]:
        rgb = read_image(picture, contract.image)
        fed = Preprocessor(contract.image, image).prepare(rgb).tensor
        expected, truth = outputs(hub, fed), exact.run(fed)
        found = outputs(file, Preprocessor(contract.image, binding.image).prepare(rgb).tensor)
        for pair, a, b in zip(
            pairs, (found, found, expected), (expected, truth, truth), strict=True
        ):
            pair.add(a, b)
    to_hub, to_exact, hub_to_exact = (pair.relative for pair in pairs)
    return Apart(to_hub=to_hub, to_exact=to_exact, hub_to_exact=hub_to_exact)


class _Largest:
    """Of each output the largest difference and the largest magnitude so far."""

    def __init__(self) -> None:
        self._apart: dict[int, float] = {}
        self._peak: dict[int, float] = {}

    def add(self, values: list[Tensor], others: list[Tensor]) -> None:
        for index, (a, b) in enumerate(zip(values, others, strict=True)):
            self._apart[index] = max(self._apart.get(index, 0.0), _peak(a - b))
            self._peak[index] = max(self._peak.get(index, 0.0), _peak(b))

    @property
    def relative(self) -> float:
        tiny = float(np.finfo(np.float64).tiny)
        return max(value / max(self._peak[index], tiny) for index, value in self._apart.items())


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
