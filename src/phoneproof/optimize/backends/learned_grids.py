"""The integer file as it will compute, in PyTorch, with everything open that may be learned.

Between the operators of the float graph stand the roundings of the recipe. Ranges are learned with
the gradients of LSQ (Esser et al. 2020, arXiv 1902.08153; zero points as in LSQ+, Bhalgat et al.
2020, arXiv 2004.09576), weights and biases through the rounding as if it were not there (straight
through), so that in effect it is learned which way each weight is rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phoneproof.formats.tflite import WEIGHTS_AT, TfliteOp
from phoneproof.optimize.backends.fake_quant import FakeQuant, Grid, grid_of
from phoneproof.optimize.backends.tflite_plan import Plan
from phoneproof.optimize.backends.tflite_ranges import Statistics
from phoneproof.runtimes.backends.tflite_torch.module import Hook, TfliteModule

LOW, HIGH = -128, 127
_STEPS: Final = HIGH - LOW
_LARGEST_WEIGHT: Final = 127
"""Weights are symmetric: -127 .. 127 (https://ai.google.dev/edge/litert/models/quantization_spec)."""
_LEARNED_WEIGHTS: Final = {
    "CONV_2D": 0,
    "TRANSPOSE_CONV": 0,
    "FULLY_CONNECTED": 0,
    "DEPTHWISE_CONV_2D": 3,
}
"""Operators whose weights are learned, and the axis of their output channels."""


class LearnedRange(torch.nn.Module):
    """The range of one activation; `ends` in units of the width it starts with."""

    def __init__(self, grid: Grid, *, learned: bool) -> None:
        super().__init__()
        self.width = grid.scale * _STEPS
        low = (LOW - grid.zero_point) * grid.scale
        high = low + self.width
        self.ends = torch.nn.Parameter(
            torch.tensor([low / self.width, high / self.width]), requires_grad=learned
        )

    def forward(self, values: Tensor) -> Tensor:
        """`values` rounded."""
        scale, zero_point = self.grid()
        return _rounded(values, scale, zero_point)

    def grid(self) -> tuple[Tensor, Tensor]:
        """Scale and (unrounded) zero point, one number each."""
        low = torch.clamp(self.ends[0:1], max=0.0)
        high = torch.clamp(self.ends[1:2], min=0.0)
        span = torch.clamp(high - low, min=1e-3)
        return span * (self.width / _STEPS), LOW - low * _STEPS / span

    def bounds(self) -> tuple[float, float]:
        """The range whose ends lie on the grid: what a quantizer makes the same grid of."""
        with torch.no_grad():
            scale, zero_point = self.grid()
        step = float(scale)
        zero = min(max(round(float(zero_point)), LOW), HIGH)
        return (LOW - zero) * step, (HIGH - zero) * step


class QuantizedWeight(torch.nn.Module):
    """Weights in units of their own grid's step, by channel.

    The grid is the one a quantizer makes of the largest magnitude of each channel. That weight is
    held where it is, or the grid would move under all others.
    """

    def __init__(self, weight: Tensor, axis: int, limit: NDArray[np.float64] | None) -> None:
        super().__init__()
        self.axis = axis
        rows = weight.detach().movedim(axis, 0).reshape(weight.shape[axis], -1)
        largest = rows.abs().amax(dim=1)
        if limit is not None:
            largest = torch.from_numpy(limit.reshape(-1)).float()
        scale = torch.where(largest > 0, largest, 1.0) / _LARGEST_WEIGHT
        sides = [1] * weight.dim()
        sides[axis] = -1
        self.scale = scale.reshape(sides)
        self._zeros = torch.zeros(scale.shape, dtype=torch.int32)
        held = rows.abs() == rows.abs().amax(dim=1, keepdim=True)
        self._held = held.reshape(weight.movedim(axis, 0).shape).movedim(0, axis)
        self._start = weight.detach() / self.scale
        self.steps = torch.nn.Parameter(self._start.clone())

    def forward(self) -> Tensor:
        """The weights as the integer file holds them."""
        ones = torch.ones_like(self._zeros, dtype=torch.float32)
        whole = torch.fake_quantize_per_channel_affine(
            self.steps, ones, self._zeros, self.axis, -_LARGEST_WEIGHT, _LARGEST_WEIGHT
        )
        return whole * self.scale

    def hold(self) -> None:
        """Put back what must not move; keep the rest on the grid's span."""
        with torch.no_grad():
            self.steps.clamp_(-_LARGEST_WEIGHT, _LARGEST_WEIGHT)
            self.steps[self._held] = self._start[self._held]

    def snapped(self) -> Tensor:
        """The weights that a quantizer rounds to exactly these integers."""
        with torch.no_grad():
            return torch.round(self.steps) * self.scale


class Bias(torch.nn.Module):
    """A bias, learned in steps of `unit`."""

    def __init__(self, bias: Tensor, unit: float) -> None:
        super().__init__()
        self._start = bias.detach().clone()
        self._unit = unit
        self.moved = torch.nn.Parameter(torch.zeros_like(self._start))

    def start_from(self, gain: NDArray[np.float32]) -> None:
        """Learn from a bias that is larger by `gain`."""
        self._start += torch.from_numpy(gain).reshape(self._start.shape)

    def forward(self) -> Tensor:
        """The bias."""
        return self._start + self.moved * self._unit


class LearnedGrids(torch.nn.Module, Hook):
    """Stands between the operators of a `TfliteModule` and rounds as the recipe says.

    Where what is rounded is decided by `FakeQuant`; here its grids are opened for learning.

    Args:
        network: of the float32 file (or the part of it that is learned).
        plan: the arithmetic of that graph's operators. numbers: the ranges to start from.
        known: tensors whose range is known and not to be learned (the image).

    Attributes:
        start: the roundings that learning starts from; it does not change them.
    """

    def __init__(
        self, network: TfliteModule, plan: Plan, numbers: Statistics, known: frozenset[str]
    ) -> None:
        super().__init__()
        self._graph = network.graph
        self.start = FakeQuant(network, plan, numbers)
        self._kinds = dict(plan.ops)
        self._rounding = {position for position, _ in self.start.rounding}
        self._makers = {
            self._name(i): p for p, op in enumerate(self._graph.ops) for i in op.outputs
        }
        self._roots: dict[str, str] = {}
        self._ranges: dict[str, LearnedRange] = {}
        self._weights: dict[str, QuantizedWeight] = {}
        self._biases: dict[str, Bias] = {}
        for position, _ in plan.ops:
            self._open_ranges(position, numbers, known)
            self._open_weights(network, position, numbers)
        self.ranges = torch.nn.ModuleList(self._ranges.values())
        self.weights = torch.nn.ModuleList(self._weights.values())
        self.biases = torch.nn.ModuleList(self._biases.values())

    def made(self, tensor: str, values: Tensor) -> Tensor:
        """Rounded where an integer operator made it."""
        if self._makers.get(tensor, -1) not in self._rounding:
            return values
        return self._on_grid(tensor, values)

    def read(self, position: int, slot: int, tensor: str, values: Tensor) -> Tensor:
        """Rounded where an integer operator reads what is float.

        Operators that read everything on their result's grid (a concatenation) need no second
        rounding here: their results are rounded to it, number by number.
        """
        if position not in self._kinds or tensor in self.start.makes:
            return values
        if tensor in self._ranges:
            return self._on_grid(tensor, values)
        return self.start.read(position, slot, tensor, values)

    def constant(self, position: int, slot: int, tensor: str, values: Tensor) -> Tensor:
        """Weights, biases and other constants of integer operators."""
        if tensor in self._weights:
            weight: Tensor = self._weights[tensor]()
            return weight
        if tensor in self._biases:
            values = self._biases[tensor]()
        return self.start.constant(position, slot, tensor, values)

    def constants(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Learned constants by tensor name, as the float32 file shall hold them."""
        for name, weight in self._weights.items():
            yield name, weight.snapped().numpy()
        for name, bias in self._biases.items():
            yield name, bias().detach().numpy()

    def bounds(self) -> Iterator[tuple[str, tuple[float, float]]]:
        """(tensor, range) of every activation whose range was open, or follows one that was."""
        for tensor, root in self._roots.items():
            yield tensor, self._ranges[root].bounds()

    def move_biases(self, moved: Mapping[str, NDArray[np.float32]]) -> None:
        """Start from other biases. moved: name of the bias -> what it gains, by channel."""
        for name, gain in moved.items():
            if name in self._biases:
                self._biases[name].start_from(gain)

    def hold(self) -> None:
        """After each step of learning."""
        for weight in self._weights.values():
            weight.hold()

    def _name(self, index: int) -> str:
        return self._graph.tensors[index].name

    def _on_grid(self, tensor: str, values: Tensor) -> Tensor:
        root = self._roots.get(tensor)
        if root is None:
            return self.start.makes[tensor].rounded(values)
        result: Tensor = self._ranges[root](values)
        return result

    def _open_ranges(self, position: int, numbers: Statistics, known: frozenset[str]) -> None:
        """The grids of one operator: of what it reads in float32, and of its results."""
        op = self._graph.ops[position]
        if self._kinds[position] != "int8":
            return
        for index in op.inputs:
            if index < 0 or self._graph.tensors[index].data.size:
                continue  # weights have limits of their own, by channel
            name = self._name(index)
            if name in numbers and name not in self.start.makes and name not in self._ranges:
                self._open(name, _asked(numbers, name), learned=name not in known)
        followed = self._followed(op)
        for name in (self._name(index) for index in op.outputs):
            grid = self.start.makes.get(name)
            if grid is None:
                continue
            if followed is not None and grid == self._grid(followed, numbers):
                if followed in self._roots:
                    self._roots[name] = self._roots[followed]
            elif name in numbers and grid == _asked(numbers, name):
                self._open(name, grid, learned=True)

    def _grid(self, name: str, numbers: Statistics) -> Grid | None:
        made = self.start.makes.get(name)
        return made or (_asked(numbers, name) if name in numbers else None)

    def _open(self, name: str, grid: Grid, *, learned: bool) -> None:
        self._ranges[name] = LearnedRange(grid, learned=learned)
        self._roots[name] = name

    def _followed(self, op: TfliteOp) -> str | None:
        """The one activation that an operator without weights reads: its grid is kept by
        operators that only move numbers."""
        if op.name in WEIGHTS_AT:
            return None
        names = {
            self._name(index)
            for index in op.inputs
            if index >= 0 and not self._graph.tensors[index].data.size
        }
        return names.pop() if len(names) == 1 else None

    def _open_weights(self, network: TfliteModule, position: int, numbers: Statistics) -> None:
        op = self._graph.ops[position]
        axis = _LEARNED_WEIGHTS.get(op.name)
        if axis is None:
            return
        at = WEIGHTS_AT[op.name]
        grid = self.start.makes.get(self._name(op.outputs[0]))
        for slot, index in enumerate(op.inputs):
            name = self._name(index) if index >= 0 else ""
            values = network.weights.get(name)
            if values is None or name in self._weights or name in self._biases:
                continue
            if slot == at:
                limit = numbers.get(name)
                largest = limit["max"] if limit is not None else None
                self._weights[name] = QuantizedWeight(values, axis, largest)
            elif grid is not None:
                unit = grid.scale * (grid.highest - grid.lowest) / _STEPS
                self._biases[name] = Bias(values, unit)


def _asked(numbers: Statistics, name: str) -> Grid:
    """The grid of a tensor's own range; kernels with a grid of their own do not take it."""
    return grid_of((float(numbers[name]["min"]), float(numbers[name]["max"])), "int8")


def _rounded(values: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """int8 rounding that passes gradients to the values, the scale and the zero point."""
    result: Tensor = torch._fake_quantize_learnable_per_tensor_affine(
        values, scale, zero_point, LOW, HIGH, 1.0
    )
    return result
