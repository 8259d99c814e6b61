"""Operators that reduce axes: means, sums, extremes, the place of the largest."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from phoneproof.runtimes.backends.tflite_torch.call import Call, Operator, Value, plain

_INT32 = 2  # schema.TensorType


def _reduction(function: Callable[[torch.Tensor, list[int], bool], torch.Tensor]) -> Operator:
    def run(call: Call) -> Value:
        value, keep = call.value(0), call.options.flag("keepDims")
        axes = sorted({value.stored_axis(axis) for axis in call.numbers(1)})
        if not axes:
            return value
        if keep:
            return value.like(function(value.tensor, axes, True))
        if value.channels_first and not _same_order(axes):
            value, axes = _unfolded(call)
        return plain(function(value.tensor, axes, False))

    return run


def _same_order(axes: list[int]) -> bool:
    """Whether what is left of [N, C, H, W] has the order the file counts: no C before H or W."""
    left = [axis for axis in (0, 1, 2, 3) if axis not in axes]
    return 1 not in left or not {2, 3} & set(left)


def _unfolded(call: Call) -> tuple[Value, list[int]]:
    value = plain(call.value(0).plain)
    return value, sorted({value.stored_axis(axis) for axis in call.numbers(1)})


def _product(tensor: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    for axis in reversed(axes):
        tensor = torch.prod(tensor, dim=axis, keepdim=keep)
    return tensor


def _arg(function: Callable[..., torch.Tensor]) -> Operator:
    def run(call: Call) -> Value:
        value = call.value(0)
        (axis,) = call.numbers(1)[:1] or (-1,)
        kind = torch.int32 if call.options.number("outputType") == _INT32 else torch.int64
        if value.channels_first and value.stored_axis(axis) == 1:
            found = function(value.tensor, dim=1)  # what is left, N H W, lies as the file counts
        else:
            found = function(value.plain, dim=axis)
        return plain(found.to(kind))

    return run


REDUCTIONS: Mapping[str, Operator] = {
    "MEAN": _reduction(lambda x, axes, keep: torch.mean(x, axes, keep)),
    "SUM": _reduction(lambda x, axes, keep: torch.sum(x, axes, keep)),
    "REDUCE_MAX": _reduction(lambda x, axes, keep: torch.amax(x, axes, keep)),
    "REDUCE_MIN": _reduction(lambda x, axes, keep: torch.amin(x, axes, keep)),
    "REDUCE_PROD": _reduction(_product),
    "ARG_MAX": _arg(torch.argmax),
    "ARG_MIN": _arg(torch.argmin),
}
