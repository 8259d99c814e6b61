"""Operators that work number by number: functions of one value, arithmetic, comparisons."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.nn import functional

from phoneproof.core.errors import InvalidInput
from phoneproof.runtimes.backends.tflite_torch.call import TO_FIRST, Call, Operator, Value
from phoneproof.runtimes.backends.tflite_torch.padding import activated

Number = torch.Tensor | float


def aligned(call: Call, slots: tuple[int, ...]) -> tuple[tuple[Number, ...], Value]:
    """Operands in one layout, ready to be broadcast, and a value of that layout.

    A float constant of one number comes as a Python number, which is how torch itself writes
    ``x * 2``. At least one operand is a tensor.
    """
    values = [call.raw(slot) for slot in slots]
    channels_first = any(value.channels_first for value in values)
    numbers: list[Number] = []
    for slot, value in zip(slots, values, strict=True):
        scalar = _scalar(value)
        others = any(_scalar(other) is None for other in values)
        if scalar is not None and others:
            numbers.append(scalar)
        elif channels_first:
            numbers.append(_in_first(call, slot, value))
        else:
            numbers.append(call.value(slot).tensor)
    tensor = next(number for number in numbers if isinstance(number, torch.Tensor))
    return tuple(numbers), Value(tensor=tensor, channels_first=channels_first)


def _scalar(value: Value) -> float | None:
    if len(value.numbers) != 1 or not value.tensor.is_floating_point() or value.tensor.dim() > 1:
        return None
    return float(value.numbers[0])


def _in_first(call: Call, slot: int, value: Value) -> torch.Tensor:
    if value.constant is not None:
        return call.weight(slot, "constant_nchw", _constant_in_first)
    return value.tensor if value.channels_first else _constant_in_first(value.tensor)


def _constant_in_first(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.dim() > 4:
        raise InvalidInput(f"an image is combined with a tensor of {tensor.dim()} axes")
    shape = (1,) * (4 - tensor.dim()) + tuple(tensor.shape)
    return tensor.reshape(shape).permute(TO_FIRST)


def _binary(function: Callable[..., torch.Tensor]) -> Operator:
    def run(call: Call) -> Value:
        (left, right), layout = aligned(call, (0, 1))
        if not isinstance(left, torch.Tensor):
            # A number on the left: torch's functions want a tensor there.
            left = torch.full((), left, dtype=layout.tensor.dtype, device=layout.tensor.device)
        return layout.like(activated(call, function(left, right)))

    return run


def _commutative(function: Callable[..., torch.Tensor]) -> Operator:
    def run(call: Call) -> Value:
        (left, right), layout = aligned(call, (0, 1))
        if not isinstance(left, torch.Tensor):
            left, right = right, left
        return layout.like(activated(call, function(left, right)))

    return run


def _extreme(function: Callable[..., torch.Tensor], low: bool) -> Operator:
    def run(call: Call) -> Value:
        (left, right), layout = aligned(call, (0, 1))
        if not isinstance(left, torch.Tensor):
            left, right = right, left
        if isinstance(right, torch.Tensor):
            return layout.like(function(left, right))
        assert isinstance(left, torch.Tensor)
        result = torch.clamp(left, min=right) if low else torch.clamp(left, max=right)
        return layout.like(result)

    return run


def sub(call: Call) -> Value:
    """SUB; a number on the left is subtracted from in torch's reversed form."""
    (left, right), layout = aligned(call, (0, 1))
    return layout.like(activated(call, _minus(left, right)))


def _minus(left: Number, right: Number) -> torch.Tensor:
    if isinstance(left, torch.Tensor):
        return torch.sub(left, right)
    assert isinstance(right, torch.Tensor)
    return torch.rsub(right, left)


def squared_difference(call: Call) -> Value:
    """SQUARED_DIFFERENCE."""
    (left, right), layout = aligned(call, (0, 1))
    difference = _minus(left, right)
    return layout.like(difference * difference)


def div(call: Call) -> Value:
    """DIV of floats; whole numbers are cut off towards zero, as C does."""
    (left, right), layout = aligned(call, (0, 1))
    if not isinstance(left, torch.Tensor):
        assert isinstance(right, torch.Tensor)
        return layout.like(activated(call, torch.reciprocal(right) * left))
    if left.is_floating_point():
        return layout.like(activated(call, torch.div(left, right)))
    return layout.like(torch.div(left, right, rounding_mode="trunc"))


def power(call: Call) -> Value:
    """POW."""
    (left, right), layout = aligned(call, (0, 1))
    if isinstance(left, torch.Tensor):
        return layout.like(torch.pow(left, right))
    assert isinstance(right, torch.Tensor)
    return layout.like(torch.pow(left, right))


def select(call: Call) -> Value:
    """SELECT, SELECT_V2: the condition picks from the second and third input."""
    (condition, yes, no), layout = aligned(call, (0, 1, 2))
    assert isinstance(condition, torch.Tensor)
    return layout.like(torch.where(condition, yes, no))


def prelu(call: Call) -> Value:
    """PRELU; slopes are given for all axes but the batch and broadcast over them."""
    value = call.value(0)
    slope = call.raw(1)
    per_channel = slope.constant is not None and slope.tensor.numel() in (1, value.shape[-1])
    if per_channel and value.tensor.dim() in (2, 4) and slope.shape[-1] == value.shape[-1]:
        weight = call.weight(1, "slope", _flat)
        tensor = value.nchw if value.tensor.dim() == 4 else value.tensor
        four = value.tensor.dim() == 4
        return Value(tensor=functional.prelu(tensor, weight), channels_first=four)
    (left, right), layout = aligned(call, (0, 1))
    assert isinstance(left, torch.Tensor)
    return layout.like(torch.where(left >= 0, left, left * right))


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.reshape(-1)


def _unary(function: Callable[[torch.Tensor], torch.Tensor]) -> Operator:
    def run(call: Call) -> Value:
        value = call.value(0)
        return value.like(function(value.tensor))

    return run


def leaky_relu(call: Call) -> Value:
    """LEAKY_RELU with its slope."""
    value = call.value(0)
    return value.like(functional.leaky_relu(value.tensor, call.options.real("alpha")))


def gelu(call: Call) -> Value:
    """GELU, exact or by tanh."""
    value = call.value(0)
    kind = "tanh" if call.options.flag("approximate") else "none"
    return value.like(functional.gelu(value.tensor, approximate=kind))


def softmax(call: Call) -> Value:
    """SOFTMAX over the last axis, of beta times the input."""
    value, beta = call.value(0), call.options.real("beta", 1.0)
    tensor = value.tensor if beta == 1.0 else value.tensor * beta
    return value.like(torch.softmax(tensor, dim=value.stored_axis(-1)))


def log_softmax(call: Call) -> Value:
    """LOG_SOFTMAX over the last axis."""
    value = call.value(0)
    return value.like(torch.log_softmax(value.tensor, dim=value.stored_axis(-1)))


def l2_normalization(call: Call) -> Value:
    """L2_NORMALIZATION over the last axis.

    The divisor is at least 1e-6, as in TFLite's reference kernel.
    """
    value = call.value(0)
    axis = value.stored_axis(-1)
    length = torch.sqrt(torch.sum(value.tensor * value.tensor, dim=axis, keepdim=True))
    return value.like(activated(call, value.tensor / torch.clamp(length, min=1e-6)))


_TYPES: Mapping[int, torch.dtype] = {
    0: torch.float32,
    1: torch.float32,  # float16: every float of the hub is float32
    2: torch.int32,
    3: torch.uint8,
    4: torch.int64,
    6: torch.bool,
    7: torch.int16,
    9: torch.int8,
    10: torch.float32,
}
"""schema.TensorType -> the hub's type."""


def cast(call: Call) -> Value:
    """CAST."""
    value = call.value(0)
    kind = call.options.number("outDataType")
    if kind not in _TYPES:
        raise call.unsupported(f"tensor type {kind}")
    return value.like(value.tensor.to(_TYPES[kind]))


def identity(call: Call) -> Value:
    """DEQUANTIZE, QUANTIZE: the hub computes with the reals that the integers stand for."""
    return call.value(0)


def add_n(call: Call) -> Value:
    """ADD_N."""
    numbers, layout = aligned(call, tuple(range(len(call.inputs))))
    total = numbers[0]
    for number in numbers[1:]:
        total = total + number
    assert isinstance(total, torch.Tensor)
    return layout.like(total)


def hard_swish(value: torch.Tensor) -> torch.Tensor:
    """x * relu6(x + 3) / 6."""
    return functional.hardswish(value)


ELEMENTWISE: Mapping[str, Operator] = {
    "ADD": _commutative(torch.add),
    "MUL": _commutative(torch.mul),
    "SUB": sub,
    "DIV": div,
    "POW": power,
    "MAXIMUM": _extreme(torch.maximum, low=True),
    "MINIMUM": _extreme(torch.minimum, low=False),
    "SQUARED_DIFFERENCE": squared_difference,
    "FLOOR_DIV": _binary(torch.floor_divide),
    "FLOOR_MOD": _binary(torch.remainder),
    "ADD_N": add_n,
    "LOGICAL_AND": _binary(torch.logical_and),
    "LOGICAL_OR": _binary(torch.logical_or),
    "LOGICAL_NOT": _unary(torch.logical_not),
    "EQUAL": _binary(torch.eq),
    "NOT_EQUAL": _binary(torch.ne),
    "GREATER": _binary(torch.gt),
    "GREATER_EQUAL": _binary(torch.ge),
    "LESS": _binary(torch.lt),
    "LESS_EQUAL": _binary(torch.le),
    "SELECT": select,
    "SELECT_V2": select,
    "RELU": _unary(functional.relu),
    "RELU6": _unary(functional.relu6),
    "RELU_N1_TO_1": _unary(lambda x: torch.clamp(x, -1.0, 1.0)),
    "RELU_0_TO_1": _unary(lambda x: torch.clamp(x, 0.0, 1.0)),
    "LEAKY_RELU": leaky_relu,
    "PRELU": prelu,
    "ELU": _unary(functional.elu),
    "HARD_SWISH": _unary(hard_swish),
    "GELU": gelu,
    "LOGISTIC": _unary(torch.sigmoid),
    "TANH": _unary(torch.tanh),
    "EXP": _unary(torch.exp),
    "LOG": _unary(torch.log),
    "SQRT": _unary(torch.sqrt),
    "RSQRT": _unary(torch.rsqrt),
    "SQUARE": _unary(torch.square),
    "NEG": _unary(torch.neg),
    "ABS": _unary(torch.abs),
    "FLOOR": _unary(torch.floor),
    "CEIL": _unary(torch.ceil),
    "ROUND": _unary(torch.round),
    "SIGN": _unary(torch.sign),
    "SIN": _unary(torch.sin),
    "COS": _unary(torch.cos),
    "SOFTMAX": softmax,
    "LOG_SOFTMAX": log_softmax,
    "L2_NORMALIZATION": l2_normalization,
    "CAST": cast,
    "DEQUANTIZE": identity,
    "QUANTIZE": identity,
}
