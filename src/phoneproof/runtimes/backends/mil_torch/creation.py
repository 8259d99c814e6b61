"""Tensors made from sizes: fills, ranges, shapes, one-hot rows."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from phoneproof.runtimes.backends.mil_torch.call import Call, Operator


def fill(call: Call, /) -> Tensor:
    """One number everywhere."""
    return torch.full(call.integers("shape"), call.real("value", 0.0), device=call.device)


def fill_like(call: Call, /) -> Tensor:
    """One number everywhere, in another tensor's shape."""
    shape = tuple(call.tensor("ref_tensor").shape)
    return torch.full(shape, call.real("value", 0.0), device=call.device)


def range_1d(call: Call, /) -> Tensor:
    """start, start + step ... before end."""
    start, end, step = (call.numbers(key)[0] for key in ("start", "end", "step"))
    if not step:
        raise call.misfit("a range of step 0")
    count = max(0, math.ceil((end - start) / step))
    whole = all(isinstance(number, int) for number in (start, step))
    kind = torch.int32 if whole else torch.float32
    return torch.arange(count, dtype=kind, device=call.device) * step + start


def shape(call: Call, /) -> Tensor:
    """The sides of x."""
    return torch.tensor(tuple(call.tensor("x").shape), dtype=torch.int32)


def one_hot(call: Call, /) -> Tensor:
    """A new axis that is ``on_value`` at each index and ``off_value`` elsewhere."""
    indices, size = call.tensor("indices"), call.integer("one_hot_vector_size")
    axis = call.integer("axis", -1)
    axis = axis + indices.dim() + 1 if axis < 0 else axis
    places = torch.arange(size, device=indices.device)
    hit = indices.unsqueeze(-1) == places
    on, off = call.real("on_value", 1), call.real("off_value", 0)
    return torch.where(hit, on, off).movedim(-1, axis)


CREATION: Mapping[str, Operator] = {
    "fill": fill,
    "fill_like": fill_like,
    "one_hot": one_hot,
    "range_1d": range_1d,
    "shape": shape,
}
