"""Bias correction: rounding moves the mean of a layer's channels, its bias moves it back.

Nagel et al. 2019 (arXiv 1906.04721), section 4.2, with measured means. Correcting all layers by one
measurement overshoots, for each layer then also repairs what the layers before it have repaired.
Here every image corrects by its share of a running mean while it passes: each layer is measured
behind layers that are corrected already, so the corrections settle from the front to the back. A
layer's mean is compared with the float mean *inside its range*: what the range cuts off is no shift
that a bias could mend.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.events import Progress
from phoneproof.formats.tflite import WEIGHTS_AT, TfliteGraph
from phoneproof.optimize.backends.fake_quant import FakeQuant
from phoneproof.optimize.backends.repaired_file import (
    pictures,
    read_float32,
    start_bounds,
    text,
    written,
)
from phoneproof.optimize.backends.tflite_plan import Plan, plan_ops
from phoneproof.optimize.backends.tflite_ranges import statistics
from phoneproof.optimize.base import RepairedModel, RepairRequest
from phoneproof.runtimes.backends.tflite_torch.module import Hook, TfliteModule

MOST_IMAGES: Final = 32


class TfliteBias:
    """Moves biases by the mean that rounding shifts."""

    def repair(self, request: RepairRequest, progress: Progress) -> RepairedModel:
        """Write the file with corrected biases; the ranges are those that were given.

        Raises:
            InvalidInput: not a float32 TFLite file; ranges of another file; an unreadable image.
            OptimizationFailed: the recipe rounds no layer with a bias, no image, or a constant
                that is not finite (named).
        """
        graph = read_float32(request)
        bounds = start_bounds(request, graph)
        plan = plan_ops(graph, request.recipe)
        network = TfliteModule(graph)
        biases = corrigible(graph, plan, network)
        if not biases:
            raise OptimizationFailed(
                "there is no bias to correct in this file",
                found=f"{len(plan.ops)} rounded operators, none with a bias of its own",
                next_step="leave this repair out",
            )
        rounding = FakeQuant(network, plan, statistics(graph, plan, bounds, ()))
        moved = corrections(network, rounding, biases, pictures(request, MOST_IMAGES), progress)
        return written(
            request,
            {
                bias: network.weights[bias].detach().numpy() + moved[layer]
                for layer, bias in biases.items()
            },
            (
                ("algorithm", text("bias_correction")),
                ("layers", text(len(biases))),
                ("recipe", text(request.recipe)),
            ),
            libraries=("torch",),
        )


def corrigible(graph: TfliteGraph, plan: Plan, network: TfliteModule) -> dict[str, str]:
    """Output tensor -> bias of each rounded layer whose bias no other operator reads."""
    uses = [index for op in graph.ops for index in op.inputs]
    found: dict[str, str] = {}
    for position, _ in plan.ops:
        op = graph.ops[position]
        if op.name not in WEIGHTS_AT or op.name == "BATCH_MATMUL":
            continue
        at = 3 if op.name == "TRANSPOSE_CONV" else 2
        index = op.inputs[at] if at < len(op.inputs) else -1
        name = graph.tensors[index].name if index >= 0 else ""
        if name in network.weights and uses.count(index) == 1:
            found[graph.tensors[op.outputs[0]].name] = name
    return found


def corrections(
    network: TfliteModule,
    rounding: FakeQuant,
    biases: Mapping[str, str],
    images: list[NDArray[np.float32]],
    progress: Progress,
) -> dict[str, NDArray[np.float32]]:
    """Layer (output tensor) -> what its bias has to gain, by channel."""
    wanted = _Means(rounding, biases)
    correcting = _Correcting(rounding, wanted)
    with torch.no_grad():
        for number, image in enumerate(images):
            network(torch.from_numpy(image), wanted)
            correcting.share = 1 / (number + 1)
            network(torch.from_numpy(image), correcting)
            progress(number + 1, len(images))
    return {layer: moved.numpy() for layer, moved in correcting.moved.items()}


class _Means(Hook):
    """The float network: the mean of each channel inside its range, of one image."""

    def __init__(self, rounding: FakeQuant, biases: Mapping[str, str]) -> None:
        self.found: dict[str, Tensor] = {}
        self.biases = biases
        self._rounding = rounding

    def made(self, tensor: str, values: Tensor) -> Tensor:
        grid = self._rounding.makes.get(tensor)
        if tensor in self.biases and grid is not None:
            low = (grid.lowest - grid.zero_point) * grid.scale
            high = (grid.highest - grid.zero_point) * grid.scale
            self.found[tensor] = _mean(torch.clamp(values, low, high))
        return values


class _Correcting(Hook):
    """The rounded network, each bias moved by a share of what its layer's mean lacks."""

    def __init__(self, rounding: FakeQuant, wanted: _Means) -> None:
        self.moved: dict[str, Tensor] = {}
        self.share = 1.0
        self._rounding = rounding
        self._wanted = wanted
        self._layer_of = {bias: layer for layer, bias in wanted.biases.items()}

    def made(self, tensor: str, values: Tensor) -> Tensor:
        rounded = self._rounding.made(tensor, values)
        if tensor not in self._wanted.found:
            return rounded
        step = self.share * (self._wanted.found[tensor] - _mean(rounded))
        self.moved[tensor] = self.moved.get(tensor, torch.zeros_like(step)) + step
        return self._rounding.made(tensor, values + step)  # the layers behind it see it at once

    def read(self, position: int, slot: int, tensor: str, values: Tensor) -> Tensor:
        return self._rounding.read(position, slot, tensor, values)

    def constant(self, position: int, slot: int, tensor: str, values: Tensor) -> Tensor:
        moved = self.moved.get(self._layer_of.get(tensor, ""))
        if moved is not None:
            values = values + moved.reshape(values.shape)
        return self._rounding.constant(position, slot, tensor, values)


def _mean(values: Tensor) -> Tensor:
    return values.reshape(-1, values.shape[-1]).mean(dim=0)
