"""What quantizing each layer of a TFLite file alone would do to the outputs (`output_noise`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.events import Progress, silent
from phoneproof.core.optimization import LayerDamage
from phoneproof.core.recipe import RangeMethod, Static
from phoneproof.formats.tflite import read_tflite
from phoneproof.formats.tflite_layers import layer_name
from phoneproof.formats.tflite_read_back import layer_macs
from phoneproof.optimize.backends.fake_quant import FakeQuant
from phoneproof.optimize.backends.output_noise import (
    Rounded,
    Tally,
    parts_of,
    passes_of,
    ranked,
)
from phoneproof.optimize.backends.tflite_plan import plan_ops
from phoneproof.optimize.backends.tflite_ranges import statistics, with_input_bounds
from phoneproof.optimize.read_bounds import read_bounds
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor
from phoneproof.runtimes.backends.tflite_torch.module import Hook, TfliteModule

_SEED: Final = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class SensitivityRequest:
    """A float32 TFLite file, how it is fed, its ``ranges.json``, and the images to look at."""

    artifact: Path
    contract: Contract
    binding: Binding
    ranges: Path
    method: RangeMethod
    images: tuple[Path, ...]


def sensitivity(
    request: SensitivityRequest, progress: Progress = silent
) -> tuple[LayerDamage, ...]:
    """The layers that int8 rounds, the most harmful first.

    Operators that only pass on numbers of their input's grid (reshapes, slices, maximum pools) add
    no error and are not in it. Outputs are those of the binding; several that share a tensor count
    apart. The damage is the mean over the outputs.

    Raises:
        InvalidInput: an image, the ranges or the file cannot be used.
        OptimizationFailed: NaN or infinite activations (the layer is named); no image; nothing
            that a static recipe could quantize.
    """
    if not request.images:
        raise OptimizationFailed("there is no image to measure the damage on")
    graph = read_tflite(request.artifact)
    module = TfliteModule(graph)
    simulated = _simulated(request, module)
    layers = {
        layer_name(graph, graph.ops[position]): position for position, _ in simulated.rounding
    }
    macs = layer_macs(graph)
    parts = parts_of(request.binding, module.outputs)
    passes = passes_of(sum(macs.values()), len(request.images), len(parts))
    tallies = [Tally(part=part) for part in parts]
    signs = torch.Generator().manual_seed(_SEED)
    for turn, path in enumerate(request.images):
        image = _pixels(request, path)
        chosen = passes.of(turn, tallies)
        _look(_Probe(module, simulated, layers), image, chosen, passes.vectors, signs, path.name)
        progress(turn + 1, len(request.images))
    rounding = (
        Rounded(name=name, op=graph.ops[position].name, macs=macs.get(name, 0))
        for name, position in layers.items()
    )
    return ranked(rounding, tallies, sum(macs.values()))


def _simulated(request: SensitivityRequest, module: TfliteModule) -> FakeQuant:
    graph = module.graph
    plan = plan_ops(graph, Static(ranges=request.method))
    measured = read_bounds(request.ranges, request.artifact, request.method)
    bounds = with_input_bounds(measured, graph, request.contract, request.binding)
    return FakeQuant(module, plan, statistics(graph, plan, bounds, ()))


def _pixels(request: SensitivityRequest, path: Path) -> Tensor:
    spec, image = request.contract.image, request.binding.image
    prepared = Preprocessor(spec, image).prepare(read_image(path, spec))
    return torch.from_numpy(np.ascontiguousarray(prepared.tensor)).reshape(image.shape)


@dataclass(frozen=True, slots=True)
class _Probe:
    module: TfliteModule
    simulated: FakeQuant
    layers: Mapping[str, int]


def _look(
    probe: _Probe,
    image: Tensor,
    chosen: list[Tally],
    vectors: int,
    signs: torch.Generator,
    name: str,
) -> None:
    """One image: two forward passes, then the backward ones. The graph is freed on return."""
    seen = _Recorded(name)
    outputs = probe.module(image, seen)
    alone = _Alone(probe, seen.values)
    with torch.no_grad():
        probe.module(image, alone)
    for tally in chosen:
        tally.look(outputs, seen.values, alone.errors, vectors, signs)


class _Recorded(Hook):
    """Keeps every activation of the float model, with its place in the autograd graph."""

    def __init__(self, image: str) -> None:
        self.values: dict[str, Tensor] = {}
        self._image = image

    def made(self, tensor: str, values: Tensor) -> Tensor:
        if not torch.isfinite(values).all():
            raise OptimizationFailed(
                f"layer {tensor!r} gives NaN or infinite numbers",
                found=f"on image {self._image}",
                next_step="repair the model: no integer can stand for them",
            )
        if not self.values:
            values = values.detach().requires_grad_()
        self.values[tensor] = values
        return values


class _Alone(Hook):
    """Every layer reads float activations and is the only one that rounds.

    errors: layer -> tensor it makes -> how far rounding moves it.
    """

    def __init__(self, probe: _Probe, values: Mapping[str, Tensor]) -> None:
        self.errors: dict[str, dict[str, Tensor]] = {}
        self._simulated = probe.simulated
        self._values = values
        graph = probe.module.graph
        self._layers = {
            graph.tensors[index].name: layer
            for layer, position in probe.layers.items()
            for index in graph.ops[position].outputs
        }

    def read(self, position: int, slot: int, tensor: str, values: Tensor) -> Tensor:
        return self._values[tensor].detach()

    def constant(self, position: int, slot: int, tensor: str, values: Tensor) -> Tensor:
        return self._simulated.constant(position, slot, tensor, values)

    def made(self, tensor: str, values: Tensor) -> Tensor:
        layer = self._layers.get(tensor)
        if layer is not None:
            error = self._simulated.made(tensor, values) - self._values[tensor].detach()
            self.errors.setdefault(layer, {})[tensor] = error
        return values
