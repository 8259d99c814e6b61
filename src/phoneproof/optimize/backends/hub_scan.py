"""A float32 hub program, looked at on a few images before its float16 file is written: which layers
float16 cannot hold, and which have to stay float32 for a signal-to-noise ratio."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, cast

import msgspec
import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.node import Argument, map_arg

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.events import Progress, silent
from phoneproof.core.optimization import LayerDamage
from phoneproof.decode.heads import canonical_roles
from phoneproof.decode.results import Float
from phoneproof.optimize.backends.hub_fold import constant, fold_batch_norms
from phoneproof.optimize.backends.hub_graph import graph_of, output_nodes
from phoneproof.optimize.backends.hub_half import HalfHub, called, computations, half, narrow
from phoneproof.optimize.backends.hub_sensitivity import macs_of, pixels_of
from phoneproof.optimize.backends.hub_weights import weighted
from phoneproof.optimize.backends.output_noise import (
    LISTS,
    Rounded,
    Tally,
    moved,
    parts_of,
    passes_of,
    ranked,
    ratio_db,
)
from phoneproof.optimize.float16_scan import Float16Scan
from phoneproof.optimize.islands import (
    expected_db,
    fewest,
    least,
    lost_in_float16,
    out_of_range,
    unheld,
    with_readers,
)
from phoneproof.runtimes.backends.hub import load_hub

_SEED: Final = 0
_DAMAGE_IMAGES: Final = 4
"""Layers differ by orders of magnitude: few images tell them apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HubScanRequest:
    """A float32 hub, its binding, the images to look at, and what is asked of every output."""

    artifact: Path
    contract: Contract
    binding: Binding
    images: tuple[Path, ...]
    snr_db: float | None


def scan(request: HubScanRequest, progress: Progress = silent) -> Float16Scan:
    """What float16 makes of the program.

    Raises:
        InvalidInput: not a hub program, or an image that cannot be read.
        OptimizationFailed: no image.
    """
    if not request.images:
        raise OptimizationFailed("there is no image to scan the ranges on")
    looking = _Looking(request, progress)
    largest = looking.largest()
    lost = tuple((name, largest[name]) for name in sorted(unheld(largest)))
    found = Float16Scan(images=len(request.images), unheld=lost, must=looking.must(largest))
    finite = all(map(math.isfinite, largest.values()))
    if request.snr_db is None or not finite or looking.lists:
        return found
    return looking.judged(found, request.snr_db)


class _Looking:
    """The program with its batch norms folded, the images, and what it makes of them.

    lists: whether it lists detections by itself (see `output_noise.LISTS`).
    """

    def __init__(self, request: HubScanRequest, progress: Progress) -> None:
        program, tensors = load_hub(request.artifact)
        self._module: GraphModule = graph_of(program)
        fold_batch_norms(self._module)
        self._names = [spec.name for spec in tensors.outputs]
        self._parts = parts_of(request.binding, self._names)
        self._computations = computations(self._module)
        self._half = HalfHub(self._module)
        self._request = request
        self._progress = progress
        self._fed = [pixels_of(path, request.contract, request.binding) for path in request.images]
        self._wanted: list[dict[str, Float]] = []
        self.lists = any(item.role in LISTS for item in request.binding.outputs)

    def largest(self) -> dict[str, float]:
        """The largest magnitude of every value on all images; keeps the outputs."""
        found: dict[str, float] = {}

        def watch(name: str, value: Tensor) -> None:
            if value.numel():
                found[name] = max(found.get(name, 0.0), float(value.abs().max()))

        for turn, pixels in enumerate(self._fed):
            self._wanted.append(self._canonical(self._half.outputs(pixels, None, watch)))
            self._progress(turn + 1, len(self._fed))
        return found

    def must(self, largest: dict[str, float]) -> tuple[str, ...]:
        """The layers whose values or weights float16 cannot hold."""
        heavy = {node.name for node in self._nodes() if _is_heavy(self._module, node)}
        finite = {name: size for name, size in largest.items() if math.isfinite(size)}
        wide = heavy.union(out_of_range(self._computations, finite))
        return tuple(one.name for one in self._computations if one.name in wide)

    def judged(self, scan: Float16Scan, aim: float) -> Float16Scan:
        """With what float16 leaves of the outputs, and as few layers as bring it to `aim`, dB."""
        must = scan.must
        output, plain = self._worst(must)
        found = msgspec.structs.replace(scan, output=output, snr_db=plain, reached_db=plain)
        if plain >= aim:
            return found
        damage = self._damage(must)
        order = fewest(damage, math.inf)

        @cache
        def reached(count: int) -> float:
            return self._worst((*must, *order[:count]))[1]

        guess = len(fewest(damage, expected_db(damage) + aim - plain))
        count = least(reached, aim, guess, len(order))
        return msgspec.structs.replace(
            found, layers=order[:count], reached_db=reached(count), damage=damage
        )

    def _worst(self, layers: Collection[str]) -> tuple[str, float]:
        """The output that is worst off, and its signal-to-noise ratio over all images, dB."""
        kept = with_readers(self._computations, layers)
        sums: dict[str, list[float]] = {}
        for pixels, wanted in zip(self._fed, self._wanted, strict=True):
            made = self._canonical(self._half.outputs(pixels, kept))
            for role, want in wanted.items():
                powers = sums.setdefault(role, [0.0, 0.0])
                powers[0] += float(np.square(want, dtype=np.float64).sum())
                powers[1] += float(np.square(made[role] - want, dtype=np.float64).sum())
        ratios = {role: ratio_db(signal, noise) for role, (signal, noise) in sums.items()}
        worst = min(ratios, key=lambda role: ratios[role])
        return worst, ratios[worst]

    def _damage(self, must: Collection[str]) -> tuple[LayerDamage, ...]:
        """Of the layers that round anything, but for those that stay float32 anyway."""
        tallies = [Tally(part=part) for part in self._parts]
        signs = torch.Generator().manual_seed(_SEED)
        macs = _macs(self._module)
        total = sum(macs.values())
        layers: dict[str, Rounded] = {}
        network = _Rounding(self._module, frozenset(must))
        fed = self._fed[:_DAMAGE_IMAGES]
        for turn, pixels in enumerate(fed):
            outputs = self._named(network.looked_at(pixels))
            for node in self._nodes():
                if node.name in network.errors:
                    layers[node.name] = Rounded(
                        name=node.name, op=called(node), macs=macs.get(node.name, 0)
                    )
            passes = passes_of(total, len(fed), len(tallies))
            for tally in passes.of(turn, tallies):
                tally.look(outputs, network.values, network.errors, passes.vectors, signs)
        return ranked(layers.values(), tallies, total)

    def _canonical(self, outputs: tuple[Tensor, ...]) -> dict[str, Float]:
        """What the checks compare: behind the sigmoid, scores times objectness."""
        arrays = {name: value.numpy() for name, value in self._named(outputs).items()}
        return canonical_roles(arrays, self._request.contract, self._request.binding)

    def _named(self, outputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
        return dict(zip(self._names, outputs, strict=True))

    def _nodes(self) -> Iterator[Node]:
        return (node for node in self._module.graph.nodes if node.op == "call_function")


class _Rounding(Interpreter):
    """Computes in float32, with gradients, and how far float16 would move what each node makes.

    values: of the last image, by node. errors: of each node alone, by its name.
    """

    def __init__(self, module: GraphModule, without: frozenset[str]) -> None:
        super().__init__(module)
        self._without = without
        self._outputs = frozenset(output_nodes(module))
        self.values: dict[str, Tensor] = {}
        self.errors: dict[str, dict[str, Tensor]] = {}

    def looked_at(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """The outputs of one image."""
        self.values, self.errors = {}, {}
        outputs: tuple[Tensor, ...] = self.run(pixels.clone().requires_grad_())
        return outputs

    def run_node(self, n: Node) -> object:
        value: object = super().run_node(n)
        if n.op != "call_function" or not isinstance(value, Tensor):
            return value
        if not value.is_floating_point():
            return value
        self.values[n.name] = value
        if n.name not in self._without:
            with torch.no_grad():
                made = narrow(n, self._given(n.args), self._given(n.kwargs))
                assert isinstance(made, Tensor)
                error = moved({n.name: made}, {n.name: value.detach()})
            if error:
                self.errors[n.name] = error
        return value

    def _given(self, arguments: Argument) -> Argument:
        """Arguments with rounded weights; what nodes made is as exact as they made it."""

        def of(node: Node) -> Argument:
            value = self.env[node]
            return cast(Argument, half(value) if node.op == "get_attr" else value)

        return map_arg(arguments, of)


def _is_heavy(module: GraphModule, node: Node) -> bool:
    arrays = (constant(module, one) for one in node.all_input_nodes)
    return any(
        lost_in_float16(one.numpy())
        for one in arrays
        if one is not None and one.dtype == torch.float32
    )


def _macs(module: GraphModule) -> dict[str, int]:
    """Multiply-accumulates of every layer with weights."""
    found = {}
    for one in weighted(module):
        for reading in one.readings:
            values = torch.from_numpy(one.values)
            turned = values.transpose(-1, -2) if reading.is_turned else values
            result = reading.layer.meta["val"]
            found[reading.layer.name] = macs_of(reading.layer, result, turned)
    return found
