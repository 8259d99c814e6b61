"""int8 activations in a Core ML program: a ``quantize`` and a ``dequantize`` in front of the layers
that Apple's hardware computes in integers (iOS 17).

Ranges are our own: coremltools measures them by running the model, which only macOS can. It also
rounds what a layer makes when no integer layer reads it; here such a value stays as it is, for it
costs accuracy (the input of a SiLU) and saves no arithmetic.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import numpy as np

from phoneproof.optimize.backends.coreml_program import (
    MilOp,
    OpenProgram,
    changing,
    is_constant,
    layer_name,
)
from phoneproof.optimize.read_bounds import Bounds, bound_of
from phoneproof.optimize.weight_codes import SMALLEST_SCALE

_STEPS: Final = 255
READS: Final = {
    "add": ("x", "y"),
    "avg_pool": ("x",),
    "conv": ("x",),
    "conv_transpose": ("x",),
    "linear": ("x",),
    "max_pool": ("x",),
}
"""Operations with an integer form -> their activations; an addition needs both to be computed."""


def integer_layers(opened: OpenProgram, float_layers: Collection[str]) -> tuple[MilOp, ...]:
    """The layers that will read int8, in the program's order."""
    return tuple(
        op
        for op in opened.layers
        if op.op_type in READS
        and layer_name(op) not in float_layers
        and all(_computed(op.inputs[name]) for name in READS[op.op_type])
    )


def _computed(variable: Any) -> bool:
    known = variable.op is not None and is_constant(variable.op)
    return not known and np.dtype(_numpy_type(variable)) in (np.float32, np.float16)


def _numpy_type(variable: Any) -> Any:
    from coremltools.converters.mil.mil import types

    return types.nptype_from_builtin(variable.dtype)


def quantize_activations(
    opened: OpenProgram, float_layers: Collection[str], bounds: Bounds
) -> tuple[str, ...]:
    """Round what integer layers read, each value once, in place.

    Returns:
        The layers that read int8 now.

    Raises:
        OptimizationFailed: a value without a range (named, with a near name); the library broke.
    """
    readers: dict[str, list[MilOp]] = {}
    variables: dict[str, Any] = {}
    chosen = integer_layers(opened, float_layers)
    for op in chosen:
        for name in READS[op.op_type]:
            variable = op.inputs[name]
            variables[variable.name] = variable
            readers.setdefault(variable.name, []).append(op)
    ranges = {name: bound_of(name, bounds) for name in variables}
    with changing(opened) as builder:
        for name, variable in variables.items():
            rounded = _rounded(variable, readers[name][0], ranges[name], builder)
            for op in readers[name]:
                given = {at: rounded for at in READS[op.op_type] if op.inputs[at] is variable}
                op.set_inputs(**given)
    return tuple(layer_name(op) for op in chosen)


def _rounded(variable: Any, before: MilOp, bound: tuple[float, float], builder: Any) -> Any:
    """The value as int8 and back again, in front of the first layer that reads it."""
    scale, zero_point = grid(*bound, np.dtype(_numpy_type(variable)))
    stored = builder.quantize(
        input=variable,
        scale=scale,
        zero_point=zero_point,
        output_dtype="int8",
        before_op=before,
        name=f"{variable.name}_int8",
    )
    return builder.dequantize(
        input=stored,
        scale=scale,
        zero_point=zero_point,
        before_op=before,
        name=f"{variable.name}_rounded",
    )


def grid(low: float, high: float, dtype: np.dtype[Any]) -> tuple[np.floating[Any], np.int8]:
    """Scale (of the activation's dtype) and zero point of int8; the range always holds zero."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / _STEPS, SMALLEST_SCALE)
    zero_point = np.clip(np.rint(-128 - low / scale), -128, 127)
    return dtype.type(scale), np.int8(zero_point)
