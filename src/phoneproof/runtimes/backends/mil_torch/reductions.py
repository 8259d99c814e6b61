"""Operations over axes: sums, extremes, norms, sorting."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from phoneproof.runtimes.backends.mil_torch.call import Call, Operator, axis_of

Axes = tuple[int, ...]


def _over_axes(function: Callable[[Tensor, Axes], Tensor]) -> Operator:
    """`function` keeps the reduced axes with length 1."""

    def run(call: Call, /) -> Tensor:
        x = call.tensor("x")
        rank = x.dim()
        axes = call.integers("axes") if call.has("axes") else tuple(range(rank))
        axes = tuple(sorted({axis_of(call, axis, rank) for axis in axes}))
        result = function(x, axes) if axes else x
        if call.flag("keep_dims"):
            return result
        return result.reshape([side for i, side in enumerate(result.shape) if i not in axes])

    return run


def _sum(x: Tensor, axes: Axes) -> Tensor:
    return torch.sum(x, dim=axes, keepdim=True)


def _mean(x: Tensor, axes: Axes) -> Tensor:
    return torch.mean(x if x.is_floating_point() else x.float(), dim=axes, keepdim=True)


def _product(x: Tensor, axes: Axes) -> Tensor:
    for axis in axes:
        x = torch.prod(x, dim=axis, keepdim=True)
    return x


def _one_axis(function: Callable[..., Tensor]) -> Operator:
    def run(call: Call, /) -> Tensor:
        x = call.tensor("x")
        axis = axis_of(call, call.integer("axis", -1), x.dim())
        return function(x, dim=axis, keepdim=call.flag("keep_dims"))

    return run


def cumsum(call: Call, /) -> Tensor:
    """Running sums; ``exclusive`` leaves the own number out, ``reverse`` runs from the end."""
    x = call.tensor("x")
    axis = axis_of(call, call.integer("axis", 0), x.dim())
    if call.flag("reverse"):
        x = torch.flip(x, (axis,))
    result = torch.cumsum(x, dim=axis)
    if call.flag("exclusive"):
        result = result - x
    return torch.flip(result, (axis,)) if call.flag("reverse") else result


def _sorted(call: Call) -> tuple[Tensor, Tensor, int]:
    x = call.tensor("x")
    axis = axis_of(call, call.integer("axis", -1), x.dim())
    # stable: of equal numbers the first comes first, whatever the machine
    values, places = torch.sort(x, dim=axis, descending=not call.flag("ascending"), stable=True)
    return values, places, axis


def argsort(call: Call, /) -> Tensor:
    """Where the numbers of an axis lie in sorted order."""
    return _sorted(call)[1]


def topk(call: Call, /) -> Tensor | tuple[Tensor, Tensor]:
    """The k largest (or smallest) of an axis, and where they lie; k of -1 stands for all."""
    values, places, axis = _sorted(call)
    length, k = int(values.shape[axis]), call.integer("k", 1)
    if k > length:
        raise call.misfit(f"the first {k} of {length}")
    kept = length if k == -1 else k
    first = torch.narrow(values, axis, 0, kept)
    if not call.flag("return_indices", True):
        return first
    return first, torch.narrow(places, axis, 0, kept)


REDUCTIONS: Mapping[str, Operator] = {
    "argsort": argsort,
    "cumsum": cumsum,
    "reduce_argmax": _one_axis(torch.argmax),
    "reduce_argmin": _one_axis(torch.argmin),
    "reduce_l1_norm": _over_axes(lambda x, axes: _sum(torch.abs(x), axes)),
    "reduce_l2_norm": _over_axes(lambda x, axes: torch.sqrt(_sum(x * x, axes))),
    "reduce_log_sum": _over_axes(lambda x, axes: torch.log(_sum(x, axes))),
    "reduce_log_sum_exp": _over_axes(lambda x, axes: torch.logsumexp(x, axes, keepdim=True)),
    "reduce_max": _over_axes(lambda x, axes: torch.amax(x, axes, keepdim=True)),
    "reduce_mean": _over_axes(_mean),
    "reduce_min": _over_axes(lambda x, axes: torch.amin(x, axes, keepdim=True)),
    "reduce_prod": _over_axes(_product),
    "reduce_sum": _over_axes(_sum),
    "reduce_sum_square": _over_axes(lambda x, axes: _sum(x * x, axes)),
    "topk": topk,
}
