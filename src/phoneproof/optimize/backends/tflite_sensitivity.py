"""What quantizing each layer alone would do to the outputs, all layers from a few backward passes.

Quantizing a layer (its weights, and what it makes) moves its result by D. To first order the
outputs then move by J D, with J the derivative of the outputs by that result. For random signs v,
one backward pass gives J^T v for every layer at once, and the mean of <J^T v, D> squared over v is
the power |J D|^2 (Hutchinson 1989, "A stochastic estimator of the trace of the influence matrix").
So a network of hundreds of layers needs as many passes as one of ten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from phoneproof.core.binding import Binding, OutputBinding
from phoneproof.core.contract import Contract
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.events import Progress, silent
from phoneproof.core.optimization import LayerDamage
from phoneproof.core.recipe import RangeMethod, Static
from phoneproof.formats.tflite import TfliteGraph, read_tflite
from phoneproof.formats.tflite_layers import layer_name
from phoneproof.formats.tflite_read_back import layer_macs
from phoneproof.optimize.backends.fake_quant import FakeQuant
from phoneproof.optimize.backends.tflite_plan import plan_ops
from phoneproof.optimize.backends.tflite_ranges import statistics, with_input_bounds
from phoneproof.optimize.read_bounds import read_bounds
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor
from phoneproof.runtimes.backends.tflite_torch.module import Hook, TfliteModule

_BUDGET: Final = 1.5e11
"""Multiply-accumulates of all backward passes together: half a minute on two cores."""
_MOST_VECTORS: Final = 4
"""For one output of one image: the layers that matter differ by more than the estimate's spread."""
_SEED: Final = 0
_SLICED: Final = ("coord", "class", "channel")
"""The axis of which an output may take a part."""


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
    parts = tuple(_parts(request.binding, module))
    passes = _passes(sum(macs.values()), len(request.images), len(parts))
    tallies = [_Tally(part=part) for part in parts]
    signs = torch.Generator().manual_seed(_SEED)
    for turn, path in enumerate(request.images):
        image = _pixels(request, path)
        chosen = passes.of(turn, tallies)
        _look(_Probe(module, simulated, layers), image, chosen, passes.vectors, signs, path.name)
        progress(turn + 1, len(request.images))
    return _ranked(graph, layers, tallies, macs)


@dataclass(frozen=True, slots=True)
class _Part:
    """One output of the binding: a tensor, or some of the places on one of its axes."""

    item: OutputBinding

    @property
    def name(self) -> str:
        if self.item.slice is None:
            return self.item.tensor
        begin, end = self.item.slice
        return f"{self.item.tensor}[{begin}:{end}]"

    def of(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """The values as the app reads them: behind the sigmoid that the binding leaves to it.

        Before it, the background of a head (logits of -20) would count for more than results.
        """
        raw = self._sliced(outputs[self.item.tensor])
        return torch.sigmoid(raw) if self.item.activation == "sigmoid" else raw

    def _sliced(self, whole: Tensor) -> Tensor:
        axis = next((i for i, one in enumerate(self.item.axes) if one in _SLICED), None)
        if self.item.slice is None or axis is None:
            return whole
        begin, end = self.item.slice
        before, after = whole.shape[:axis], whole.shape[axis + 1 :]
        cells = whole.reshape(*before, self.item.packed, -1, *after)
        return cells.narrow(axis + 1, begin, end - begin)


@dataclass(slots=True)
class _Tally:
    """Sums over images: power of one output, and of what each layer adds to it."""

    part: _Part
    signal: float = 0.0
    noise: dict[str, float] = field(default_factory=dict)

    def relative(self, layer: str) -> float:
        found = self.noise.get(layer, 0.0)
        return found / self.signal if self.signal else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Passes:
    """How many backward passes an image gets: `vectors` for each of `parts` outputs by turns."""

    vectors: int
    parts: int

    def of(self, turn: int, tallies: list[_Tally]) -> list[_Tally]:
        start = turn * self.parts
        return [tallies[(start + step) % len(tallies)] for step in range(self.parts)]


def _passes(macs: int, images: int, outputs: int) -> _Passes:
    affordable = max(1, int(_BUDGET / (max(macs, 1) * images)))
    # By turns over the images, so that each output is looked at at least once.
    parts = max(min(outputs, affordable), -(-outputs // images))
    return _Passes(vectors=min(_MOST_VECTORS, max(1, affordable // parts)), parts=parts)


def _simulated(request: SensitivityRequest, module: TfliteModule) -> FakeQuant:
    graph = module.graph
    plan = plan_ops(graph, Static(ranges=request.method))
    measured = read_bounds(request.ranges, request.artifact, request.method)
    bounds = with_input_bounds(measured, graph, request.contract, request.binding)
    return FakeQuant(module, plan, statistics(graph, plan, bounds, ()))


def _parts(binding: Binding, module: TfliteModule) -> Iterator[_Part]:
    for item in binding.outputs:
        if item.tensor not in module.outputs:
            raise OptimizationFailed(
                f"the binding's output {item.tensor!r} is not in the file",
                found=", ".join(module.outputs),
            )
        yield _Part(item)


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
    chosen: list[_Tally],
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
    watched = [tensor for errors in alone.errors.values() for tensor in errors]
    reached = [tensor for tensor in watched if seen.values[tensor].requires_grad]
    for tally in chosen:
        result = tally.part.of(outputs)
        if not result.requires_grad:  # whole numbers
            continue
        tally.signal += float(result.detach().double().square().sum())
        for _ in range(vectors):
            vector = torch.randint(0, 2, result.shape, generator=signs).float().mul_(2).sub_(1)
            slopes = torch.autograd.grad(
                result,
                [seen.values[tensor] for tensor in reached],
                vector,
                retain_graph=True,
                allow_unused=True,
            )
            _add(tally, alone.errors, dict(zip(reached, slopes, strict=True)), vectors)


def _add(
    tally: _Tally,
    errors: Mapping[str, Mapping[str, Tensor]],
    slopes: Mapping[str, Tensor | None],
    vectors: int,
) -> None:
    for layer, moved in errors.items():
        total = 0.0
        for tensor, error in moved.items():
            slope = slopes.get(tensor)
            if slope is not None:
                total += float((slope * error).sum(dtype=torch.float64))
        tally.noise[layer] = tally.noise.get(layer, 0.0) + total * total / vectors


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


def _ranked(
    graph: TfliteGraph,
    layers: Mapping[str, int],
    tallies: list[_Tally],
    macs: Mapping[str, int],
) -> tuple[LayerDamage, ...]:
    total = max(sum(macs.values()), 1)
    found = []
    for layer, position in layers.items():
        by_output = tuple((tally.part.name, tally.relative(layer)) for tally in tallies)
        found.append(
            LayerDamage(
                layer=layer,
                op=graph.ops[position].name,
                macs=macs.get(layer, 0) / total,
                damage=sum(value for _, value in by_output) / max(len(by_output), 1),
                by_output=by_output,
            )
        )
    return tuple(sorted(found, key=lambda one: -one.damage))
