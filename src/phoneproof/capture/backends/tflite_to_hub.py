"""TFLite -> hub program: each operator as one PyTorch layer, weights as named float parameters.

The graph is walked twice. The first walk computes shapes only, folds what depends on constants
alone, and turns the constants that remain into parameters; the second is torch.export's. Layers
are named by operator and position (``conv_2d_7``), as artifacts name them.

Quantised files give the float program their integers stand for (docs/decisions/0019).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from torch.export import ExportedProgram

from phoneproof.core.errors import ConversionFailed, InvalidInput, first_line
from phoneproof.formats.tflite import TfliteGraph, TfliteOp, parse_tflite, read_tflite
from phoneproof.formats.tflite_values import representable_range
from phoneproof.runtimes.backends.tflite_torch.call import Value, plain
from phoneproof.runtimes.backends.tflite_torch.evaluate import (
    MOST_NUMBERS,
    Inputs,
    Layer,
    constants_of,
    evaluate,
    image_of,
    inputs_of,
    settled,
)


def hub_from_tflite(
    data: Path | bytes, *, shape: tuple[int, ...], clamp_ranges: bool = False
) -> ExportedProgram:
    """The hub program of a TFLite model.

    Args:
        data: the file. shape: of the image input, in the file's own layout.
        clamp_ranges: hold each activation to what its quantised tensor can represent.

    Returns:
        a program of one float32 tensor of `shape` (the reals, where the file takes integers); its
        outputs are the file's (the signature's where there is one), in order, as float32.

    Raises:
        InvalidInput: damaged, or with operators that contradict their tensors.
        Unsupported: an operator that is not imported, named with its place.
        ConversionFailed: PyTorch could not export the graph.
    """
    graph = read_tflite(data) if isinstance(data, Path) else parse_tflite(data, "the model")
    if math.prod(shape) > MOST_NUMBERS:
        raise InvalidInput("the input is too large", found=f"shape {list(shape)}")
    with torch.no_grad():
        network = TfliteNetwork(graph, shape, clamp_ranges=clamp_ranges).eval()
        try:
            program = torch.export.export(network, (torch.zeros(shape),), strict=False)
        except Exception as error:  # torch raises many unrelated classes here
            raise ConversionFailed(
                "the imported TFLite graph could not be exported by PyTorch",
                found=f"{type(error).__name__}: {first_line(error)}",
                next_step="another importer or another export of the model may do",
            ) from error
    _drop_type_checks(program)
    return program


def _drop_type_checks(program: ExportedProgram) -> None:
    """torch.export guards every change of type; with static shapes the guards only say so."""
    module = program.graph_module
    for node in list(module.graph.nodes):
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            module.graph.erase_node(node)
    module.recompile()


class TfliteNetwork(torch.nn.Module):
    """A TFLite graph, ready for torch.export.

    Raises:
        InvalidInput, Unsupported: as `hub_from_tflite`.
    """

    def __init__(
        self, graph: TfliteGraph, shape: tuple[int, ...], *, clamp_ranges: bool = False
    ) -> None:
        super().__init__()
        self._ranges = _ranges(graph) if clamp_ranges else {}
        self._image = image_of(graph)
        self._outputs = tuple(i for _, i in graph.signature_outputs) or graph.outputs
        self._constants = constants_of(graph)
        self.layers = torch.nn.ModuleDict()
        shared: dict[tuple[int, str], torch.Tensor] = {}

        def compute(layer: Layer, inputs: Inputs) -> tuple[Value, ...]:
            made = TfliteLayer(layer, shared)
            self.layers[made.name] = made
            return self._clamped(layer.op, made(*inputs))

        settled(graph, shape, self._outputs, self._constants, compute)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs for one image tensor."""
        values: dict[int, Value] = {self._image: plain(image)}
        for layer in self.layers.values():
            assert isinstance(layer, TfliteLayer)
            inputs = inputs_of(layer.op, layer.where, values, self._constants)
            results = self._clamped(layer.op, layer(*inputs))
            values.update(zip(layer.op.outputs, results, strict=True))
        return tuple(_as_float(values[index].plain) for index in self._outputs)

    def _clamped(self, op: TfliteOp, results: tuple[Value, ...]) -> tuple[Value, ...]:
        held = []
        for index, value in zip(op.outputs, results, strict=True):
            bounds = self._ranges.get(index)
            if bounds is not None and value.tensor.is_floating_point():
                value = value.like(torch.clamp(value.tensor, *bounds))
            held.append(value)
        return tuple(held)


class TfliteLayer(torch.nn.Module):
    """One operator with its parameters."""

    def __init__(self, layer: Layer, shared: dict[tuple[int, str], torch.Tensor]) -> None:
        super().__init__()
        self.op = layer.op
        self.name = f"{layer.op.name.lower()}_{layer.position}"
        self.where = layer.where
        self._run = layer.run
        self._shared = shared

    def forward(self, *inputs: Value | None) -> tuple[Value, ...]:
        """The results; in the first walk parameters are made, afterwards they are read."""
        return evaluate(self._run, self.op, self.where, inputs, self)

    def parameter(
        self, name: str, key: tuple[int, str], make: Callable[[], torch.Tensor]
    ) -> torch.Tensor:
        """The parameter `name` of this layer; constants that layers share are kept once."""
        known = getattr(self, name, None)
        if isinstance(known, torch.Tensor):
            return known
        if key not in self._shared:
            self._shared[key] = make().detach().clone(memory_format=torch.contiguous_format)
        values = self._shared[key]
        if values.is_floating_point():
            self.register_parameter(name, torch.nn.Parameter(values, requires_grad=False))
        else:
            self.register_buffer(name, values)
        return values.to("meta")  # made in the walk that computes shapes only


def _ranges(graph: TfliteGraph) -> dict[int, tuple[float, float]]:
    """What quantised tensors can hold, where that may cut what their operator computes.

    Operators that only move or pick numbers cut nothing, and a fused ReLU or ReLU6 needs no second
    bound where the range ends within one step of its own.
    """
    found: dict[int, tuple[float, float]] = {}
    for op in graph.ops:
        if op.name in _NOTHING_NEW:
            continue
        for index in op.outputs:
            held = representable_range(graph.tensors[index]) if index >= 0 else None
            if held is None:
                continue
            low, high, step = held
            own = _own_range(op)
            if own[0] < low - step or own[1] > high + step:
                found[index] = low, high
    return found


_NOTHING_NEW: Final = (
    "RESHAPE",
    "TRANSPOSE",
    "SQUEEZE",
    "EXPAND_DIMS",
    "SLICE",
    "STRIDED_SLICE",
    "SPLIT",
    "MAX_POOL_2D",
    "AVERAGE_POOL_2D",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
    "PAD",
    "CONCATENATION",
    "GATHER",
)
_OWN_RANGES: Final = {
    "LOGISTIC": (0.0, 1.0),
    "SOFTMAX": (0.0, 1.0),
    "TANH": (-1.0, 1.0),
    "RELU6": (0.0, 6.0),
    "RELU": (0.0, math.inf),
}
_FUSED_RANGES: Final = {1: (0.0, math.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}


def _own_range(op: TfliteOp) -> tuple[float, float]:
    """Between what bounds an operator's results lie whatever it reads."""
    everything = -math.inf, math.inf
    fused = _FUSED_RANGES.get(op.options.number("fusedActivationFunction"), everything)
    return _OWN_RANGES.get(op.name, fused)


def _as_float(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.dtype == torch.float32 else tensor.to(torch.float32)
