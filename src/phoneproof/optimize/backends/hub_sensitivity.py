"""What small weights of each layer of a hub program alone do to its outputs (`output_noise`).

Core AI's files cannot be looked into on the way, and need not be: their weights are the hub's, and
what a recipe makes of these is known without any file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.events import Progress, silent
from phoneproof.core.optimization import LayerDamage
from phoneproof.core.recipe import Palette, WeightOnly
from phoneproof.optimize.backends.hub_fold import fold_batch_norms
from phoneproof.optimize.backends.hub_graph import graph_of, output_nodes
from phoneproof.optimize.backends.hub_weights import Reading, coded, weighted
from phoneproof.optimize.backends.output_noise import Rounded, Tally, parts_of, passes_of, ranked
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor
from phoneproof.runtimes.backends.hub import load_hub

_SEED: Final = 0
_PRODUCTS: Final = ("addmm", "mm", "bmm", "matmul")


@dataclass(frozen=True, kw_only=True, slots=True)
class HubDamageRequest:
    """A float hub, what its weights shall become, and the images to look at."""

    artifact: Path
    recipe: WeightOnly | Palette
    contract: Contract
    binding: Binding
    images: tuple[Path, ...]


def damage(request: HubDamageRequest, progress: Progress = silent) -> tuple[LayerDamage, ...]:
    """The layers whose weights the recipe changes, the most harmful first.

    Raises:
        InvalidInput: not a hub program, or an image that cannot be read.
        OptimizationFailed: no image; numbers of the program that are not finite.
    """
    if not request.images:
        raise OptimizationFailed("there is no image to measure the damage on")
    program, tensors = load_hub(request.artifact)
    module = graph_of(program)
    fold_batch_norms(module)
    names = [spec.name for spec in tensors.outputs]
    tallies = [Tally(part=part) for part in parts_of(request.binding, names)]
    signs = torch.Generator().manual_seed(_SEED)
    network = _Network(module, _changes(module, request.recipe))
    for turn, path in enumerate(request.images):
        run = network.looked_at(pixels_of(path, request.contract, request.binding), path.name)
        outputs = dict(
            zip(names, (run.values[node.name] for node in output_nodes(module)), strict=True)
        )
        passes = passes_of(run.macs, len(request.images), len(tallies))
        for tally in passes.of(turn, tallies):
            tally.look(outputs, run.values, run.errors, passes.vectors, signs)
        progress(turn + 1, len(request.images))
    return ranked(run.layers, tallies, run.macs)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Change:
    """What a layer's weights become: float32, as its operator reads them."""

    reading: Reading
    weights: Tensor


def _changes(module: GraphModule, recipe: WeightOnly | Palette) -> dict[Node, _Change]:
    found = {}
    for one in weighted(module):
        code = coded(one, recipe)
        if code is None:
            continue
        weights = torch.from_numpy(code.weights.astype(np.float32))
        for reading in one.readings:
            turned = weights.transpose(-1, -2) if reading.is_turned else weights
            found[reading.layer] = _Change(reading=reading, weights=turned)
    return found


@dataclass(kw_only=True, slots=True)
class _Run:
    """What the float program computes of one image, with the graph that gradients take."""

    values: dict[str, Tensor] = field(default_factory=dict)
    errors: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    layers: list[Rounded] = field(default_factory=list)
    macs: int = 0


class _Network(Interpreter):
    """Computes in float32 whatever the program's own numbers are: gradients need the digits."""

    def __init__(self, module: GraphModule, changes: dict[Node, _Change]) -> None:
        super().__init__(module)
        self._changes = changes
        self._run = _Run()
        self._image = ""

    def looked_at(self, pixels: Tensor, image: str) -> _Run:
        """The values of one image, and how far each changed layer would move its own."""
        self._run, self._image = _Run(), image
        self.run(pixels.requires_grad_())
        return self._run

    def fetch_attr(self, target: str) -> object:
        return _wide(super().fetch_attr(target))

    def run_node(self, n: Node) -> object:
        value = self._computed(n) if n.op == "call_function" else super().run_node(n)
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        if not torch.isfinite(value).all():
            raise OptimizationFailed(
                f"layer {n.name!r} gives NaN or infinite numbers",
                found=f"on image {self._image}",
                next_step="repair the model: no smaller number can stand for them",
            )
        self._run.values[n.name] = value
        return value

    def _computed(self, node: Node) -> object:
        given, named = self.fetch_args_kwargs_from_env(node)
        args = [_wide_types(one) for one in given]
        kwargs = {name: _wide_types(one) for name, one in named.items()}
        target = cast(Callable[..., object], node.target)
        value = target(*args, **kwargs)
        change = self._changes.get(node)
        if change is not None and isinstance(value, Tensor):
            args[change.reading.place] = change.weights
            with torch.no_grad():
                error = cast(Tensor, target(*args, **kwargs)) - value
            macs = macs_of(node, value, change.weights)
            self._run.errors[node.name] = {node.name: error}
            self._run.layers.append(Rounded(name=node.name, op=_called(node), macs=macs))
            self._run.macs += macs
        return value


def pixels_of(path: Path, contract: Contract, binding: Binding) -> Tensor:
    """One image as the program takes it."""
    spec, image = contract.image, binding.image
    prepared = Preprocessor(spec, image).prepare(read_image(path, spec))
    pixels = np.ascontiguousarray(prepared.tensor, np.float32)
    return torch.from_numpy(pixels).reshape(image.shape)


def _wide(value: object) -> object:
    is_half = isinstance(value, Tensor) and value.dtype == torch.float16
    return cast(Tensor, value).float() if is_half else value


def _wide_types(argument: object) -> object:
    """Arguments with float32 in place of every float16 that is asked for by name."""
    if argument is torch.float16:
        return torch.float32
    if isinstance(argument, (list, tuple)):
        return type(argument)(_wide_types(one) for one in argument)
    if isinstance(argument, dict):
        return {key: _wide_types(value) for key, value in argument.items()}
    return argument


def _called(node: Node) -> str:
    return str(node.target).split(".")[1]


def macs_of(node: Node, value: Tensor, weights: Tensor) -> int:
    """Multiply-accumulates of one layer."""
    if _called(node) in _PRODUCTS:
        return int(value.numel() * weights.shape[-2])
    if "transpose" in _called(node):
        return int(value.numel() * weights.shape[0])
    return int(value.numel() * weights.shape[1:].numel())
