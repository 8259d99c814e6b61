"""Bare weights as a source: the file's tensors in the network that the user's factory builds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import torch
from torch.export import ExportedProgram

from phoneproof.capture.backends.flat_export import flat_program
from phoneproof.capture.backends.live_module import LiveModule
from phoneproof.capture.backends.torch_files.factory import build_network, unseen_imports
from phoneproof.capture.backends.torch_files.image_size import TriedSizes, try_sizes
from phoneproof.capture.backends.torch_files.key_fit import fit_keys
from phoneproof.capture.backends.torch_files.program_session import (
    image_shape,
    open_session,
    outputs_of,
    with_open_shapes,
)
from phoneproof.capture.backends.torch_files.records import TensorRef
from phoneproof.capture.backends.torch_files.state_dict import StateDict
from phoneproof.capture.backends.torch_files.state_dict_facts import (
    facts_findings,
    needs_factory,
    read_state_dict,
    recognises_state_dict,
)
from phoneproof.capture.backends.torch_files.torch_file import TorchFile
from phoneproof.capture.backends.torch_files.weights import tensor_of
from phoneproof.capture.base import Factory, HubExport
from phoneproof.core.artifact import file_sha256
from phoneproof.core.capture import Evidence, Finding, Hazard, Inspection
from phoneproof.core.contract import Size
from phoneproof.core.errors import ConfigError
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.base import Session


@dataclass(frozen=True, kw_only=True, slots=True)
class _Loaded:
    network: torch.nn.Module
    state: StateDict
    removed: str


class StateDictSource:
    """Reads weights; runs the user's factory, and never the file."""

    def __init__(self, factory: Factory | None = None) -> None:
        self._factory = factory

    def with_factory(self, factory: Factory) -> StateDictSource:
        """The same with the code that builds the network."""
        return StateDictSource(factory)

    def recognises(self, path: Path) -> bool:
        """A file of torch.save whose root is, or leads to, names with tensors."""
        return recognises_state_dict(path)

    def inspect(self, path: Path) -> Inspection:
        """What the weights and one run of the network on noise show.

        Raises:
            InvalidInput: truncated, hostile or empty.
            Unsupported: no factory was named; says what the file holds and what to type.
            ConfigError: the factory fails, or its network does not fit the weights.
        """
        loaded = self._load(path)
        sizes = try_sizes(loaded.network)
        if not sizes.fitting:
            raise _no_size(self._required(path), sizes)
        size = sizes.stated or sizes.fitting[0]
        live = LiveModule(loaded.network, size=size, channels=sizes.channels, batch=1)
        inspection = live.inspection()
        if not sizes.stated and len(sizes.fitting) > 1:
            image = torch.zeros(1, sizes.channels, *sizes.fitting[1])
            run = partial(outputs_of, loaded.network, image, name=path.name)
            inspection = with_open_shapes(inspection, run)
        return msgspec.structs.replace(
            inspection,
            format="state_dict",
            sha256=file_sha256(path),
            bytes=path.stat().st_size,
            evidence=_evidence(inspection.evidence, loaded.state),
            findings=(*inspection.findings, *self._findings(path, loaded, sizes)),
            hazards=self._hazards(),
        )

    def open(self, path: Path, *, size: Size, batch: int) -> Session:
        """The network with the file's weights in eager PyTorch, float32, on the CPU."""
        network, channels = self._for_size(path, size)
        shape = image_shape("NCHW", channels, size, batch)
        image = TensorSpec(name="image", shape=shape, dtype="float32")
        return open_session(network, image, name=path.name)

    def importers(self, path: Path, *, size: Size, batch: int) -> tuple[tuple[str, HubExport], ...]:
        """torch.export of the network; else recorded operator by operator."""
        return (
            ("torch.export", partial(self._export, path, size, batch)),
            ("operators", partial(self._record, path, size, batch)),
        )

    def _export(self, path: Path, size: Size, batch: int) -> ExportedProgram:
        network, channels = self._for_size(path, size)
        return LiveModule(network, size=size, channels=channels, batch=batch).program

    def _record(self, path: Path, size: Size, batch: int) -> ExportedProgram:
        network, channels = self._for_size(path, size)
        shape = image_shape("NCHW", channels, size, batch)
        return flat_program(network, shape, what=path.name)

    def _for_size(self, path: Path, size: Size) -> tuple[torch.nn.Module, int]:
        network = self._load(path).network
        tried = try_sizes(network, (size,))
        if not tried.fitting:
            raise _no_size(self._required(path), tried)
        return network, tried.channels

    def _required(self, path: Path) -> Factory:
        if self._factory is None:
            raise needs_factory(path, read_state_dict(path)[1])
        return self._factory

    def _load(self, path: Path) -> _Loaded:
        file, state = read_state_dict(path)
        if self._factory is None:
            raise needs_factory(path, state)
        network = build_network(self._factory)
        wanted = {name: tuple(value.shape) for name, value in _tensors(network).items()}
        fit = fit_keys(path.name, wanted, state.tensors)
        _fill(network, file, fit.tensors)
        network.eval().requires_grad_(requires_grad=False)
        return _Loaded(network=network, state=state, removed=fit.removed)

    def _findings(self, path: Path, loaded: _Loaded, sizes: TriedSizes) -> tuple[Finding, ...]:
        factory = self._required(path)
        ran = Finding(
            key="evidence.factory",
            value=factory.target,
            reason="read: your own code built the network; it was run, the file was not",
        )
        return (ran, *facts_findings(loaded.state, loaded.removed), *sizes.findings())

    def _hazards(self) -> tuple[Hazard, ...]:
        unseen = unseen_imports(self._factory) if self._factory else ()
        if not unseen:
            return ()
        return (
            Hazard(
                name="unseen_code",
                found=f"the factory runs {', '.join(unseen)} without importing it by name",
                next_step="import it by name, or remove the folder .phoneproof after changing it: "
                "results of earlier builds are kept by what the code imports",
                severity="note",
            ),
        )


def _tensors(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    state: dict[str, object] = network.state_dict()
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def _fill(network: torch.nn.Module, file: TorchFile, tensors: Mapping[str, TensorRef]) -> None:
    storages = file.read_storages(ref.storage for ref in tensors.values())
    weights = {name: tensor_of(storages, ref) for name, ref in tensors.items()}
    # Names and shapes are compared before; strict would refuse files from before the counters.
    with torch.no_grad():
        network.load_state_dict(weights, strict=False)
    network.float()


def _no_size(factory: Factory, sizes: TriedSizes) -> ConfigError:
    tried = ", ".join(f"{height} x {width}" for height, width in sizes.tried)
    return ConfigError(
        f"the network of {factory.target} runs on no image of {tried}",
        found=sizes.refused,
        next_step="let forward() take a float32 tensor [N, C, H, W]; where it needs one size, "
        "give the network an attribute: self.image_size = (height, width)",
    )


def _evidence(evidence: Evidence, state: StateDict) -> Evidence:
    return msgspec.structs.replace(evidence, metrics=state.metrics)
