"""Cross-layer equalisation of a float32 TFLite file: the same function with channels of like size.

Between two layers with weights a channel may be made smaller by the first and larger by the second
as long as what lies between is positively homogeneous (Nagel et al. 2019, arXiv 1906.04721). The
integer file has one scale for all channels of an activation and one for each row of weights, so it
is the activation's channels that are evened out; how far depends on what the second layer pays for
it (as in SmoothQuant, Xiao et al. 2023, arXiv 2211.10438): a depthwise layer has a scale for each
channel and pays nothing, the others pay with the spread inside their rows and get half of the way.

Factors are powers of two: they change no digit, so the float function stays what it was. ReLU6 is
not homogeneous, so layers around it stay as they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.events import Progress
from phoneproof.formats.tflite import WEIGHTS_AT, TfliteGraph, TfliteOp
from phoneproof.formats.tflite_values import constant_values
from phoneproof.optimize.backends.repaired_file import pictures, read_float32, text, written
from phoneproof.optimize.backends.tflite_plan import has_weights
from phoneproof.optimize.base import RepairedModel, RepairRequest
from phoneproof.runtimes.backends.tflite_torch.module import Hook, TfliteModule

Factors = NDArray[np.float64]

_MOST_IMAGES: Final = 16
_LARGEST_EXPONENT: Final = 8
_LEAST_SPREAD: Final = 2.0
"""Octaves between the channels of a pair that is touched: whole powers of two leave one."""
_NO_ACTIVATION, _RELU = 0, 1  # schema.ActivationFunctionType
_HOMOGENEOUS: Final = frozenset(
    {
        "RELU",
        "LEAKY_RELU",
        "MAX_POOL_2D",
        "AVERAGE_POOL_2D",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "PAD",
        "MEAN",
    }
)
"""Operators of one activation that scale with each channel of it and keep channels last."""
_OUT_AXIS: Final = {
    "CONV_2D": 0,
    "TRANSPOSE_CONV": 0,
    "FULLY_CONNECTED": 0,
    "DEPTHWISE_CONV_2D": 3,
}
_IN_AXIS: Final = {"CONV_2D": 3, "TRANSPOSE_CONV": 3, "FULLY_CONNECTED": 1, "DEPTHWISE_CONV_2D": 3}
"""Axes of the weights that count output and input channels."""
_IMAGE_AT: Final = {"TRANSPOSE_CONV": 2}
_BIAS_AT: Final = {"TRANSPOSE_CONV": 3}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A layer, and those that read its channels with nothing but homogeneous operators between.

    Positions in the graph. tensor: the layer's output.
    """

    first: int
    second: tuple[int, ...]
    tensor: int


class TfliteEqualise:
    """Makes the channels of activations alike without changing the function."""

    def repair(self, request: RepairRequest, progress: Progress) -> RepairedModel:
        """Write the equalised file; its ranges have to be measured again.

        Raises:
            InvalidInput: not a float32 TFLite file; an unreadable image.
            OptimizationFailed: no pair of layers to equalise, no image, or a constant that is not
                finite (named).
        """
        graph = read_float32(request)
        pairs = find_pairs(graph)
        if not pairs:
            raise OptimizationFailed(
                "there is nothing to equalise in this file",
                found=f"{len(graph.ops)} operators, no two layers with only ReLU, pools or nothing "
                "between them",
                next_step="leave this repair out",
            )
        sizes = _channel_sizes(request, graph, pairs, progress)
        weights = {
            index: constant_values(graph.tensors[index]).astype(np.float64)
            for index in _constants(graph, pairs)
        }
        moved = [_apply(graph, pair, sizes[pair.tensor], weights) for pair in pairs]
        if not any(moved):
            raise OptimizationFailed(
                "there is nothing to equalise in this file",
                found=f"{len(pairs)} pairs of layers whose channels are alike already",
                next_step="leave this repair out",
            )
        return written(
            request,
            {graph.tensors[i].name: values.astype(np.float32) for i, values in weights.items()},
            (
                ("algorithm", text("cross_layer_equalisation")),
                ("channels", text(sum(moved))),
                ("pairs", text([graph.tensors[pair.tensor].name for pair in pairs])),
            ),
            libraries=("torch",),
        )


def find_pairs(graph: TfliteGraph) -> tuple[Pair, ...]:
    """Every layer whose channels may be scaled, in the graph's order."""
    readers: dict[int, list[int]] = defaultdict(list)
    for position, op in enumerate(graph.ops):
        for index in op.inputs:
            readers[index].append(position)
    results = {index for _, index in graph.signature_outputs} | set(graph.outputs)
    pairs = []
    for position, op in enumerate(graph.ops):
        if not _is_layer(graph, op, readers) or not _is_homogeneous(op):
            continue
        tensor = op.outputs[0]
        second = _sinks(graph, tensor, readers, results)
        if second:
            pairs.append(Pair(first=position, second=tuple(sorted(set(second))), tensor=tensor))
    return tuple(pairs)


def _is_homogeneous(op: TfliteOp) -> bool:
    return op.options.number("fusedActivationFunction") in (_NO_ACTIVATION, _RELU)


def _is_layer(graph: TfliteGraph, op: TfliteOp, readers: dict[int, list[int]]) -> bool:
    """Weights of its own: constants that no other operator reads."""
    if op.name not in _OUT_AXIS or not has_weights(graph, op):
        return False
    own = [i for i in op.inputs[1:] if i >= 0 and graph.tensors[i].dtype == "float32"]
    own = [i for i in own if i != op.inputs[_IMAGE_AT.get(op.name, 0)]]
    return all(graph.tensors[i].data.size and len(readers[i]) == 1 for i in own)


def _sinks(
    graph: TfliteGraph, tensor: int, readers: dict[int, list[int]], results: set[int]
) -> tuple[int, ...]:
    """Positions of the layers behind a tensor; empty where something else reads it too."""
    waiting, found = [tensor], list[int]()
    while waiting:
        index = waiting.pop()
        if index in results or not readers[index]:
            return ()
        for position in readers[index]:
            op = graph.ops[position]
            if _reads_channels(graph, op, index, readers):
                found.append(position)
            elif _passes(graph, op):
                waiting.append(op.outputs[0])
            else:
                return ()
    return tuple(found)


def _reads_channels(
    graph: TfliteGraph, op: TfliteOp, index: int, readers: dict[int, list[int]]
) -> bool:
    if not _is_layer(graph, op, readers) or op.inputs[_IMAGE_AT.get(op.name, 0)] != index:
        return False
    weights = graph.tensors[op.inputs[WEIGHTS_AT[op.name]]]
    return weights.shape[_IN_AXIS[op.name]] == graph.tensors[index].shape[-1]


def _passes(graph: TfliteGraph, op: TfliteOp) -> bool:
    """Whether a channel times a positive number gives that channel's result times that number."""
    if op.name not in _HOMOGENEOUS or not _is_homogeneous(op):
        return False
    before, after = graph.tensors[op.inputs[0]].shape, graph.tensors[op.outputs[0]].shape
    if len(before) != 4 or before[-1] != after[-1]:
        return False
    if op.name != "MEAN":
        return True
    axes = constant_values(graph.tensors[op.inputs[1]]).reshape(-1).tolist()
    return sorted(axis % 4 for axis in axes) == [1, 2]


def _constants(graph: TfliteGraph, pairs: tuple[Pair, ...]) -> Iterator[int]:
    """Tensor indices of the weights and biases that may change."""
    for pair in pairs:
        for position in (pair.first, *pair.second):
            op = graph.ops[position]
            yield op.inputs[WEIGHTS_AT[op.name]]
        bias = _bias(graph.ops[pair.first])
        if bias is not None:
            yield bias


def _bias(op: TfliteOp) -> int | None:
    at = _BIAS_AT.get(op.name, 2)
    return op.inputs[at] if at < len(op.inputs) and op.inputs[at] >= 0 else None


class _Largest(Hook):
    """The largest magnitude of each channel of some tensors."""

    def __init__(self, tensors: frozenset[str]) -> None:
        self.found: dict[str, Tensor] = {}
        self._tensors = tensors

    def made(self, tensor: str, values: Tensor) -> Tensor:
        if tensor in self._tensors:
            largest = values.abs().reshape(-1, values.shape[-1]).amax(dim=0)
            former = self.found.get(tensor, largest)
            self.found[tensor] = torch.maximum(former, largest)
        return values


def _channel_sizes(
    request: RepairRequest, graph: TfliteGraph, pairs: tuple[Pair, ...], progress: Progress
) -> dict[int, Factors]:
    network = TfliteModule(graph)
    watch = _Largest(frozenset(graph.tensors[pair.tensor].name for pair in pairs))
    images = pictures(request, _MOST_IMAGES)
    with torch.no_grad():
        for number, image in enumerate(images):
            network(torch.from_numpy(image), watch)
            progress(number + 1, len(images))
    return {
        pair.tensor: watch.found[graph.tensors[pair.tensor].name].double().numpy() for pair in pairs
    }


def _apply(
    graph: TfliteGraph, pair: Pair, size: Factors, weights: dict[int, NDArray[np.float64]]
) -> int:
    """Scale one pair in `weights`; how many channels changed."""
    factors = _factors(graph, pair, size, weights)
    op = graph.ops[pair.first]
    _scale(weights, op.inputs[WEIGHTS_AT[op.name]], _OUT_AXIS[op.name], 1 / factors)
    bias = _bias(op)
    if bias is not None:
        weights[bias] = (weights[bias].reshape(-1) / factors).reshape(weights[bias].shape)
    for position in pair.second:
        after = graph.ops[position]
        _scale(weights, after.inputs[WEIGHTS_AT[after.name]], _IN_AXIS[after.name], factors)
    return int(np.count_nonzero(factors != 1.0))


def _scale(
    weights: dict[int, NDArray[np.float64]], index: int, axis: int, factors: Factors
) -> None:
    sides = [1] * weights[index].ndim
    sides[axis] = -1
    weights[index] = weights[index] * factors.reshape(sides)


def _factors(
    graph: TfliteGraph, pair: Pair, size: Factors, weights: dict[int, NDArray[np.float64]]
) -> Factors:
    """How much smaller each channel becomes: powers of two, 1 for channels that are always 0."""
    shares = [
        _share_of_row(graph.ops[position], weights)
        for position in pair.second
        if graph.ops[position].name != "DEPTHWISE_CONV_2D"
    ]
    alive = size > 0
    wanted = np.where(alive, size / size.max(initial=1e-30), 1.0)
    if shares:
        share = np.max(shares, axis=0)
        alive &= share > 0
        wanted = np.sqrt(wanted / np.where(share > 0, share, 1.0))
    octaves = np.log2(wanted, where=alive, out=np.zeros_like(wanted))
    if not alive.any() or np.ptp(octaves[alive]) < _LEAST_SPREAD:
        return np.ones_like(wanted)
    exponents = np.where(alive, np.rint(octaves - np.median(octaves[alive])), 0.0)
    factors: Factors = np.exp2(np.clip(exponents, -_LARGEST_EXPONENT, _LARGEST_EXPONENT))
    return factors


def _share_of_row(op: TfliteOp, weights: dict[int, NDArray[np.float64]]) -> Factors:
    """For each input channel its largest weight, relative to the largest of the same output."""
    axis, out = _IN_AXIS[op.name], _OUT_AXIS[op.name]
    values = np.abs(weights[op.inputs[WEIGHTS_AT[op.name]]])
    others = tuple(side for side in range(values.ndim) if side != out)
    rows = values.max(axis=others, keepdims=True)
    relative = values / np.where(rows > 0, rows, 1.0)
    share: Factors = relative.max(axis=tuple(s for s in range(values.ndim) if s != axis))
    return share
