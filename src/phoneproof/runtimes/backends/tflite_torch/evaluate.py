"""One operator of a TFLite graph at its place: its inputs, its function, its results; and the walk
over all of them that settles every shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.tflite import TfliteGraph, TfliteOp
from phoneproof.formats.tflite_values import constant_values
from phoneproof.runtimes.backends.tflite_torch.call import (
    Call,
    Operator,
    Value,
    Weights,
    constant,
    plain,
)
from phoneproof.runtimes.backends.tflite_torch.operators import OPERATORS
from phoneproof.runtimes.faults import faults_of_file

MOST_NUMBERS: Final = 2**28
"""In one tensor: a gigabyte of floats. Larger ones are declared by damaged or hostile files."""

_FAULTS: Final = (RuntimeError, ValueError, IndexError, TypeError, OverflowError)
"""What torch and Python raise over operands that do not fit."""

_ALWAYS_CONSTANT: Final = ("SHAPE", "RANK")
"""Operators that read shapes only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """An operator that depends on the image: its place among all, in numbers and in words, and
    its function."""

    position: int
    op: TfliteOp
    where: str
    run: Operator


Inputs = tuple[Value | None, ...]
"""What an operator reads; None for an optional input that is not given."""


class Numbers:
    """Constants as they are: what is computed from them is computed on the spot."""

    def parameter(
        self, name: str, key: tuple[int, str], make: Callable[[], torch.Tensor]
    ) -> torch.Tensor:
        """The numbers themselves."""
        del name, key
        return make()


def place_of(op: TfliteOp, position: int) -> str:
    """An operator as messages name it."""
    return f"operator {position} ({op.name})"


def operator_of(op: TfliteOp, position: int) -> Operator:
    """The function of an operator.

    Raises:
        Unsupported: there is none.
    """
    run = OPERATORS.get(op.name)
    if run is None or op.custom:
        kind = "custom operator" if op.custom else "operator"
        raise Unsupported(
            f"TFLite {kind} {op.name} is not imported",
            found=f"operator {position} of the graph",
            next_step="give the model this file was converted from",
        )
    return run


def image_of(graph: TfliteGraph) -> int:
    """The tensor index of the image.

    Raises:
        Unsupported: not one input.
    """
    if len(graph.inputs) != 1:
        raise Unsupported("a TFLite model of several inputs", found=f"{len(graph.inputs)} inputs")
    return graph.inputs[0]


def settled(
    graph: TfliteGraph,
    shape: Sequence[int],
    outputs: Sequence[int],
    constants: dict[int, Value],
    compute: Callable[[Layer, Inputs], tuple[Value, ...]],
) -> tuple[Layer, ...]:
    """The operators that depend on the image, in order. Computes shapes only.

    Args:
        shape: of the image. outputs: tensor indices. constants: of the graph; what operators make
            of constants alone joins them. compute: the results of a layer, on torch's meta device.

    Raises:
        InvalidInput: operators that contradict their tensors, or an output without the image.
        Unsupported: an operator that is not known.
    """
    values = {image_of(graph): plain(torch.empty(tuple(shape), device="meta"))}
    layers = []
    for position, op in enumerate(graph.ops):
        where, run = place_of(op, position), operator_of(op, position)
        inputs = inputs_of(op, where, values, constants)
        if is_constant(op, inputs):
            constants.update(fold(run, op, where, inputs))
            continue
        layer = Layer(position=position, op=op, where=where, run=run)
        with plain_faults(where):
            results = compute(layer, inputs)
        require_sane(results, where)
        values.update(zip(op.outputs, results, strict=True))
        layers.append(layer)
    missing = [index for index in outputs if index not in values]
    if missing:
        raise InvalidInput(
            "an output of the model does not depend on its input",
            found=graph.tensors[missing[0]].name,
        )
    return tuple(layers)


def constants_of(graph: TfliteGraph) -> dict[int, Value]:
    """Tensor index -> constant, integers as the reals they stand for.

    Raises:
        InvalidInput, Unsupported: as `phoneproof.formats.tflite_values.constant_values`.
    """
    found: dict[int, Value] = {}
    for index, tensor in enumerate(graph.tensors):
        if tensor.data.size or 0 in tensor.shape:
            array = np.array(constant_values(tensor), order="C")  # torch wants writable memory
            found[index] = constant(torch.from_numpy(array), index)
    return found


def inputs_of(
    op: TfliteOp, where: str, values: Mapping[int, Value], constants: Mapping[int, Value]
) -> Inputs:
    """What an operator reads.

    Raises:
        InvalidInput: a tensor that nothing computes before.
    """
    found: list[Value | None] = []
    for index in op.inputs:
        value = values.get(index) or constants.get(index)
        if value is None and index != -1:
            raise InvalidInput(f"{where} reads a tensor that nothing computes before it")
        found.append(value)
    return tuple(found)


def evaluate(
    run: Operator, op: TfliteOp, where: str, inputs: Inputs, weights: Weights
) -> tuple[Value, ...]:
    """The results of one operator.

    Raises:
        InvalidInput: not as many as the file declares.
    """
    call = Call(name=op.name, where=where, inputs=inputs, options=op.options, weights=weights)
    results = run(call)
    values = tuple(results) if isinstance(results, Sequence) else (results,)
    if len(values) != len(op.outputs):
        raise InvalidInput(
            f"{where} has another number of outputs than it gives",
            found=f"{len(op.outputs)} declared, {len(values)} computed",
        )
    return values


def is_constant(op: TfliteOp, inputs: Inputs) -> bool:
    """Whether an operator's results do not depend on the image."""
    if op.name in _ALWAYS_CONSTANT:
        return True
    return all(value is None or value.constant is not None for value in inputs)


def fold(run: Operator, op: TfliteOp, where: str, inputs: Inputs) -> dict[int, Value]:
    """Tensor index -> result of an operator on constants.

    Raises:
        InvalidInput: the operator does not fit its tensors.
    """
    with plain_faults(where):
        results = evaluate(run, op, where, inputs, Numbers())
    require_sane(results, where)
    return {
        index: constant(value.plain.contiguous(), index)
        for index, value in zip(op.outputs, results, strict=True)
    }


def require_sane(values: Sequence[Value], where: str) -> None:
    """Refuse tensors that no model has.

    Raises:
        InvalidInput: more than `MOST_NUMBERS`.
    """
    for value in values:
        if math.prod(value.shape) > MOST_NUMBERS:
            raise InvalidInput(f"{where} makes a tensor of shape {list(value.shape)}")


def plain_faults(where: str) -> AbstractContextManager[None]:
    """An operator that torch refuses for its shapes is a fault of the file."""
    return faults_of_file(f"{where} does not fit its tensors", *_FAULTS)
