"""A static recipe simulated in PyTorch: the float graph with the integer file's roundings in it.

The numbers are those that ai-edge-quantizer is given (`tflite_ranges`), the placement is its own:
activations asymmetric by tensor, with zero inside the range; int16 activations symmetric; weights
symmetric by output channel; biases in steps of input scale times weight scale. Every rounding
passes gradients straight through, inside its range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from phoneproof.formats.tflite import WEIGHTS_AT, TfliteOp
from phoneproof.optimize.backends.tflite_plan import Arithmetic, Plan
from phoneproof.optimize.backends.tflite_ranges import Statistics
from phoneproof.runtimes.backends.tflite_torch.module import Hook, TfliteModule

_LARGEST_WEIGHT: Final = 127
_LEAST_WIDTH: Final = 1e-9
"""Of a range, as in ai-edge-quantizer: no scale of zero."""
_LEAST_ZERO_POINT, _MOST_ZERO_POINT = -128, 127

_AS_READ: Final = frozenset(
    {
        "RESHAPE",
        "TRANSPOSE",
        "SQUEEZE",
        "EXPAND_DIMS",
        "SLICE",
        "STRIDED_SLICE",
        "SPLIT",
        "UNPACK",
        "GATHER",
        "GATHER_ND",
        "BROADCAST_TO",
        "PAD",
        "MIRROR_PAD",
        "SPACE_TO_DEPTH",
        "DEPTH_TO_SPACE",
        "REDUCE_MIN",
        "MAX_POOL_2D",
        "AVERAGE_POOL_2D",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
    }
)
"""Kernels whose results lie on the grid of what they read
(https://ai.google.dev/edge/litert/models/quantization_spec)."""

_MAKE_NEW: Final = frozenset({"AVERAGE_POOL_2D", "RESIZE_BILINEAR"})
"""Of these, those that compute new numbers on that grid."""

_AS_MADE: Final = frozenset(
    {"CONCATENATION", "PACK", "PADV2", "MAXIMUM", "MINIMUM", "SELECT", "SELECT_V2"}
)
"""Kernels that read everything on the grid of their result: it is rounded once more for them."""

_FIXED: Final[Mapping[tuple[str, Arithmetic], tuple[float, float]]] = {
    ("LOGISTIC", "int8"): (0.0, 255 / 256),
    ("SOFTMAX", "int8"): (0.0, 255 / 256),
    ("TANH", "int8"): (-1.0, 127 / 128),
    ("LOGISTIC", "int16"): (-32767 / 32768, 32767 / 32768),
    ("SOFTMAX", "int16"): (-32767 / 32768, 32767 / 32768),
    ("TANH", "int16"): (-32767 / 32768, 32767 / 32768),
}
"""Ranges of results that the kernels demand: scales of 1/256, 1/128 and 1/32768."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """real = (q - zero_point) * scale, with `lowest` <= q <= `highest`."""

    scale: float
    zero_point: int
    lowest: int
    highest: int

    def rounded(self, values: Tensor) -> Tensor:
        """The numbers of this grid nearest to `values`."""
        return torch.fake_quantize_per_tensor_affine(
            values, self.scale, self.zero_point, self.lowest, self.highest
        )


def grid_of(bounds: tuple[float, float], kind: Arithmetic) -> Grid:
    """The grid that ai-edge-quantizer lays over a range (tensor_zp_scale_from_min_max)."""
    low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
    if kind == "int16":
        scale = max(-low, high, _LEAST_WIDTH) / 32767
        return Grid(scale=scale, zero_point=0, lowest=-32768, highest=32767)
    scale = max(high - low, _LEAST_WIDTH) / 255
    zero = round(_LEAST_ZERO_POINT - low / scale)
    zero = min(max(zero, _LEAST_ZERO_POINT), _MOST_ZERO_POINT)
    return Grid(scale=scale, zero_point=zero, lowest=-128, highest=127)


class FakeQuant(Hook):
    """Stands between the operators of a `TfliteModule` and rounds as the integer file does.

    Args:
        module: of the float32 file. plan: the arithmetic of each operator; those it does not name
            stay float. numbers: ranges of the plan's tensors (`tflite_ranges.statistics`).

    Attributes:
        makes: tensor -> the grid its integer operator puts it on.
        rounding: (operator's position, its arithmetic) of those that add an error of their own;
            the others pass on numbers that are rounded already.
    """

    def __init__(self, module: TfliteModule, plan: Plan, numbers: Statistics) -> None:
        self.makes: dict[str, Grid] = {}
        self._reads: dict[tuple[int, int], Grid] = {}
        self._constants: dict[tuple[int, int], _Constant] = {}
        self._graph = module.graph
        bounds = {
            name: (float(one["min"]), float(one["max"]))
            for name, one in numbers.items()
            if one["min"].ndim == 0
        }
        rounding: list[tuple[int, Arithmetic]] = []
        active = set(module.positions)
        for position, kind in plan.ops:
            if position not in active:
                continue
            if self._rounds(module.graph.ops[position]):
                rounding.append((position, kind))
            self._place(position, kind, bounds)
            self._prepare_constants(module, position, kind, numbers)
        self.rounding = tuple(rounding)
        self._join()

    def made(self, tensor: str, values: Tensor) -> Tensor:
        """Rounded where an integer operator made it."""
        grid = self.makes.get(tensor)
        return values if grid is None else grid.rounded(values)

    def read(self, position: int, slot: int, tensor: str, values: Tensor) -> Tensor:
        """Rounded (again) where the reader's grid is not the maker's."""
        grid = self._reads.get((position, slot))
        if grid is None or grid == self.makes.get(tensor):
            return values
        return grid.rounded(values)

    def constant(self, position: int, slot: int, tensor: str, values: Tensor) -> Tensor:
        """Rounded where an integer operator reads it."""
        constant = self._constants.get((position, slot))
        return values if constant is None else constant.rounded(values)

    def _rounds(self, op: TfliteOp) -> bool:
        if op.name not in _AS_READ or op.name in _MAKE_NEW:
            return True
        return self._graph.tensors[op.inputs[_source(op)]].name not in self.makes

    def _place(
        self, position: int, kind: Arithmetic, bounds: dict[str, tuple[float, float]]
    ) -> None:
        """Lay the grids of one operator; `bounds` then holds what its results really have."""
        op = self._graph.ops[position]
        outputs = [self._graph.tensors[i].name for i in op.outputs if self._is_activation(i)]
        held = _FIXED.get((op.name, kind))
        if op.name in _AS_READ:
            held = bounds.get(self._graph.tensors[op.inputs[_source(op)]].name)
        for name in outputs:
            bounds[name] = held or bounds[name]
            self.makes[name] = grid_of(bounds[name], kind)
        for slot, index in enumerate(op.inputs):
            if index < 0 or not self._is_activation(index):
                continue
            shared = op.name in _AS_MADE and outputs
            name = outputs[0] if shared else self._graph.tensors[index].name
            self._reads[position, slot] = grid_of(bounds[name], kind)

    def _join(self) -> None:
        """Where all readers want one other grid, the maker rounds to it at once.

        As ai-edge-quantizer does (_eliminate_requantization_for_nonconstrained_provider), unless
        the maker's own grid is bound.
        """
        bound = _AS_READ | _AS_MADE | {name for name, _ in _FIXED}
        wanted: dict[int, set[Grid | None]] = {}
        for position, op in enumerate(self._graph.ops):
            for slot, index in enumerate(op.inputs):
                wanted.setdefault(index, set()).add(self._reads.get((position, slot)))
        results = {*self._graph.outputs, *(index for _, index in self._graph.signature_outputs)}
        for op in self._graph.ops:
            for index in op.outputs:
                own = self.makes.get(self._graph.tensors[index].name)
                grids = list(wanted.get(index, ()))
                if own is None or op.name in bound or index in results or len(grids) != 1:
                    continue
                if grids[0] is not None and grids[0].highest == own.highest:
                    self.makes[self._graph.tensors[index].name] = grids[0]

    def _is_activation(self, index: int) -> bool:
        tensor = self._graph.tensors[index]
        return tensor.dtype == "float32" and not tensor.data.size

    def _prepare_constants(
        self, module: TfliteModule, position: int, kind: Arithmetic, numbers: Statistics
    ) -> None:
        op = self._graph.ops[position]
        at = WEIGHTS_AT.get(op.name)
        scales: Tensor | None = None
        if at is not None and at < len(op.inputs):
            name = self._graph.tensors[op.inputs[at]].name
            if name in module.weights:
                axis = _channel_axis(op, module.weights[name].dim())
                weight = _weight(module.weights[name], axis, numbers.get(name))
                self._constants[position, at] = weight
                scales = weight.scale
        for slot, index in enumerate(op.inputs):
            name = self._graph.tensors[index].name if index >= 0 else ""
            if slot == at or name not in module.weights:
                continue
            values = module.weights[name].detach()
            if at is None:
                ends = float(values.min()), float(values.max())
                self._constants[position, slot] = _Plain(grid_of(ends, kind))
            elif scales is not None and values.numel() == scales.numel():
                image = self._reads.get((position, _image_slot(op)))
                if image is not None:
                    step = scales.reshape(values.shape).double() * image.scale
                    self._constants[position, slot] = _Bias(step)


@dataclass(frozen=True, slots=True)
class _Plain:
    grid: Grid

    def rounded(self, values: Tensor) -> Tensor:
        return self.grid.rounded(values)


@dataclass(frozen=True, slots=True)
class _Weight:
    """scale: one for each channel on `axis`."""

    scale: Tensor
    axis: int

    def rounded(self, values: Tensor) -> Tensor:
        zeros = torch.zeros(self.scale.shape, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(
            values, self.scale, zeros, self.axis, -_LARGEST_WEIGHT, _LARGEST_WEIGHT
        )


@dataclass(frozen=True, slots=True)
class _Bias:
    """step: of each number; float64, for int32 does not fit float32's 24 bits."""

    step: Tensor

    def rounded(self, values: Tensor) -> Tensor:
        with torch.no_grad():
            error = torch.round(values.double() / self.step) * self.step - values.double()
        return values + error.float()


_Constant = _Plain | _Weight | _Bias


def _weight(values: Tensor, axis: int, numbers: Mapping[str, np.ndarray] | None) -> _Weight:
    """The weights' grid; `numbers` where the range is wider than the weights need."""
    others = [side for side in range(values.dim()) if side != axis]
    limit = values.detach().abs().amax(dim=others)
    if numbers is not None:
        limit = torch.from_numpy(np.abs(numbers["max"]).reshape(-1)).float()
    return _Weight(torch.clamp(limit, min=_LEAST_WIDTH) / _LARGEST_WEIGHT, axis)


def _channel_axis(op: TfliteOp, rank: int) -> int:
    if op.name == "DEPTHWISE_CONV_2D":
        return 3
    if op.name == "BATCH_MATMUL":
        return rank - 2 if op.options.flag("adjY") else rank - 1
    return 0


def _source(op: TfliteOp) -> int:
    """The input whose grid the results lie on (SPLIT names its axis first)."""
    return 1 if op.name == "SPLIT" else 0


def _image_slot(op: TfliteOp) -> int:
    return 2 if op.name == "TRANSPOSE_CONV" else 0
