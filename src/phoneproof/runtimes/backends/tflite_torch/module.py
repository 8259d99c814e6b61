"""A TFLite graph as a PyTorch module: what it reads, makes and weighs can be watched and changed.

Inputs and outputs lie as in the file (NHWC), weights too, each under its tensor's name. Everything
runs under autograd. A `Hook` stands between the operators: it sees each float tensor when it is
made and when it is read, and what it returns is what the graph goes on with; so a range, a rounding
or a noise is put in without touching the graph.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from phoneproof.core.errors import InvalidInput
from phoneproof.formats.tflite import TfliteGraph
from phoneproof.runtimes.backends.tflite_torch.call import TO_FIRST, Value, plain
from phoneproof.runtimes.backends.tflite_torch.evaluate import (
    MOST_NUMBERS,
    Inputs,
    Layer,
    Numbers,
    constants_of,
    evaluate,
    image_of,
    inputs_of,
    settled,
)


class Hook:
    """Changes nothing; override what shall be watched or changed.

    Each method gets float32 numbers in the file's own layout and returns as many. `position`
    counts the graph's operators, `slot` that operator's inputs.
    """

    def made(self, tensor: str, values: Tensor) -> Tensor:
        """An activation as its operator gives it; first the image."""
        return values

    def read(self, position: int, slot: int, tensor: str, values: Tensor) -> Tensor:
        """An activation as one operator reads it."""
        return values

    def constant(self, position: int, slot: int, tensor: str, values: Tensor) -> Tensor:
        """A weight, bias or other float constant of several numbers as one operator reads it."""
        return values


UNCHANGED: Final = Hook()


class TfliteModule(torch.nn.Module):
    """The graph of a float32 file, for images of the shape that its input has.

    Attributes:
        graph: as read from the file.
        weights: float constants of several numbers that operators read, by tensor name, in the
            file's layout; parameters without gradient until asked for (`requires_grad_`). Constants
            of one number are numbers of the program; operators on constants alone are folded.
        outputs: names of the results, the signature's where there is one.

    Raises:
        InvalidInput: damaged, or operators that contradict their tensors.
        Unsupported: an operator that is not known, named with its place; several inputs.
    """

    weights: Mapping[str, torch.nn.Parameter]

    def __init__(self, graph: TfliteGraph) -> None:
        super().__init__()
        self._image = image_of(graph)
        self.graph = graph
        named = graph.signature_outputs or [(graph.tensors[i].name, i) for i in graph.outputs]
        self._results = dict(named)
        self.outputs = tuple(self._results)
        self._constants = constants_of(graph)
        self._layers = self._planned()
        self._readers = Counter(i for layer in self._layers for i in layer.op.inputs)
        self._readers.update(self._results.values())
        self.weights = self._registered()

    @property
    def positions(self) -> tuple[int, ...]:
        """Of the operators that depend on the image, in order."""
        return tuple(layer.position for layer in self._layers)

    def forward(self, image: Tensor, hook: Hook = UNCHANGED) -> dict[str, Tensor]:
        """Results by name.

        Args:
            image: float32, the shape of the file's input.
            hook: stands between the operators.
        """
        start = self.graph.tensors[self._image].name
        values = {self._image: plain(hook.made(start, image))}
        left = Counter(self._readers)
        for layer in self._layers:
            inputs = inputs_of(layer.op, layer.where, values, self._constants)
            inputs = self._hooked(layer, inputs, hook)
            results = evaluate(layer.run, layer.op, layer.where, inputs, Numbers())
            for index, value in zip(layer.op.outputs, results, strict=True):
                values[index] = self._made(index, value, hook)
            left.subtract(layer.op.inputs)
            for index in layer.op.inputs:
                if left[index] <= 0:  # nothing reads it again: its memory may go
                    values.pop(index, None)
        return {name: values[index].plain for name, index in self._results.items()}

    def _made(self, index: int, value: Value, hook: Hook) -> Value:
        name = self.graph.tensors[index].name
        return _changed(value, lambda values: hook.made(name, values))

    def _hooked(self, layer: Layer, inputs: Inputs, hook: Hook) -> Inputs:
        return tuple(
            None if value is None else self._read(layer, slot, value, hook)
            for slot, value in enumerate(inputs)
        )

    def _read(self, layer: Layer, slot: int, value: Value, hook: Hook) -> Value:
        name = self.graph.tensors[layer.op.inputs[slot]].name
        if value.constant is None:
            return _changed(value, lambda values: hook.read(layer.position, slot, name, values))
        if name not in self.weights:
            return value
        weight = hook.constant(layer.position, slot, name, self.weights[name])
        return replace(value, tensor=weight)

    def _planned(self) -> tuple[Layer, ...]:
        """The operators that depend on the image; the others are folded."""
        shape = self.graph.tensors[self._image].shape
        if any(side < 1 for side in shape) or math.prod(shape) > MOST_NUMBERS:
            raise InvalidInput("the input has no usable shape", found=f"shape {list(shape)}")
        outputs = tuple(self._results.values())
        return settled(self.graph, shape, outputs, self._constants, _shapes_of)

    def _registered(self) -> dict[str, torch.nn.Parameter]:
        found: dict[str, torch.nn.Parameter] = {}
        for index in sorted({i for layer in self._layers for i in layer.op.inputs}):
            value = self._constants.get(index)
            if value is None or not value.tensor.is_floating_point() or value.tensor.numel() < 2:
                continue
            weight = torch.nn.Parameter(value.tensor, requires_grad=False)
            self.register_parameter(f"tensor_{index}", weight)  # torch forbids dots in names
            found[self.graph.tensors[index].name] = weight
        return found


def _shapes_of(layer: Layer, inputs: Inputs) -> tuple[Value, ...]:
    return evaluate(layer.run, layer.op, layer.where, inputs, _Shapes())


class _Shapes:
    """Constants without numbers: computing with them computes shapes."""

    def parameter(
        self, name: str, key: tuple[int, str], make: Callable[[], torch.Tensor]
    ) -> torch.Tensor:
        del name, key
        return make().to("meta")


def _changed(value: Value, change: Callable[[Tensor], Tensor]) -> Value:
    """A value whose numbers a hook has seen, stored as before."""
    if not value.tensor.is_floating_point():
        return value
    values = change(value.plain)
    return value.like(values.permute(TO_FIRST) if value.channels_first else values)
