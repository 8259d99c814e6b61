"""Numbers taken from, and put to, places that other numbers name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from phoneproof.runtimes.backends.mil_torch.call import Call, Operator, axis_of


def _from_front(indices: Tensor, side: int) -> Tensor:
    """Whole numbers of 64 bits; negative ones count from the end."""
    indices = indices.long()
    return torch.where(indices < 0, indices + side, indices)


def gather(call: Call, /) -> Tensor:
    """Slices of x along an axis, for each index one; leading axes may go in step."""
    x, indices = call.tensor("x"), call.tensor("indices")
    axis = axis_of(call, call.integer("axis", 0), x.dim())
    batch = call.integer("batch_dims", 0)
    if not 0 <= batch <= min(axis, indices.dim()):
        raise call.misfit(f"{batch} leading axes before axis {axis}")
    places = _from_front(indices, int(x.shape[axis]))
    if batch == 0:
        shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
        return x.index_select(axis, places.reshape(-1)).reshape(shape)
    return _in_step(x, places, axis, batch)


def _in_step(x: Tensor, places: Tensor, axis: int, batch: int) -> Tensor:
    """`batch` leading axes of both are the same; each of their places is gathered alone."""
    lead = x.shape[:batch]
    rest = places.shape[batch:]
    moved = x.movedim(axis, batch).flatten(0, batch - 1)
    flat = places.reshape(moved.shape[0], -1)
    rows = torch.arange(moved.shape[0], device=x.device)[:, None]
    found = moved[rows, flat].reshape(*lead, *rest, *moved.shape[2:])
    middle = axis - batch  # axes between the leading ones and the gathered one
    order = list(range(found.dim()))
    taken = order[batch : batch + len(rest)]
    between = order[batch + len(rest) : batch + len(rest) + middle]
    behind = order[batch + len(rest) + middle :]
    return found.permute(*order[:batch], *between, *taken, *behind)


def gather_along_axis(call: Call, /) -> Tensor:
    """x[..., indices[..., i, ...], ...]: the other axes go in step."""
    x = call.tensor("x")
    axis = axis_of(call, call.integer("axis", 0), x.dim())
    return torch.gather(x, axis, _from_front(call.tensor("indices"), int(x.shape[axis])))


def _nd_places(x: Tensor, indices: Tensor, skipped: int = 0) -> tuple[Tensor, ...]:
    depth = int(indices.shape[-1])
    return tuple(_from_front(indices[..., i], int(x.shape[skipped + i])) for i in range(depth))


def gather_nd(call: Call, /) -> Tensor:
    """x[indices[..., :]], the last axis of indices naming places on several axes of x."""
    x, indices = call.tensor("x"), call.tensor("indices")
    batch = call.integer("batch_dims", 0)
    if not 0 <= batch < indices.dim() or batch + int(indices.shape[-1]) > x.dim():
        raise call.misfit(f"indices of shape {list(indices.shape)} into {list(x.shape)}")
    lead = tuple(
        torch.arange(int(x.shape[i]), device=x.device).reshape(
            (-1,) + (1,) * (indices.dim() - 2 - i)
        )
        for i in range(batch)
    )
    return x[(*lead, *_nd_places(x, indices, batch))]


_REDUCE: Final[Mapping[str, str]] = {"mul": "prod", "max": "amax", "min": "amin"}


def _scattered(call: Call, data: Tensor, axis: int, places: Tensor, updates: Tensor) -> Tensor:
    mode = call.text("mode", "add")
    if mode == "update":
        return data.scatter(axis, places, updates)
    if mode in ("add", "sub"):
        return data.scatter_add(axis, places, updates if mode == "add" else -updates)
    if mode == "div":
        return data.scatter_reduce(axis, places, torch.reciprocal(updates), "prod")
    if mode in _REDUCE:
        return data.scatter_reduce(axis, places, updates, _REDUCE[mode])
    raise call.unsupported(f"mode {mode!r}")


def scatter_along_axis(call: Call, /) -> Tensor:
    """Data with updates put to, or reckoned with, the places of indices along one axis."""
    data = call.tensor("data")
    axis = axis_of(call, call.integer("axis", 0), data.dim())
    places = _from_front(call.tensor("indices"), int(data.shape[axis]))
    return _scattered(call, data, axis, places, call.tensor("updates"))


def scatter(call: Call, /) -> Tensor:
    """Data with whole slices of updates put to the places of indices along one axis."""
    data, indices, updates = call.tensor("data"), call.tensor("indices"), call.tensor("updates")
    axis = axis_of(call, call.integer("axis", 0), data.dim())
    places = _from_front(indices, int(data.shape[axis])).reshape(-1)
    parts = updates.reshape(*data.shape[:axis], places.numel(), *data.shape[axis + 1 :])
    shape = [1] * data.dim()
    shape[axis] = -1
    return _scattered(call, data, axis, places.reshape(shape).expand(parts.shape), parts)


def scatter_nd(call: Call, /) -> Tensor:
    """Data with updates put to the places that the last axis of indices names."""
    data, indices, updates = call.tensor("data"), call.tensor("indices"), call.tensor("updates")
    depth = int(indices.shape[-1])
    if depth > data.dim():
        raise call.misfit(f"indices of shape {list(indices.shape)} into {list(data.shape)}")
    places = torch.zeros(indices.shape[:-1], dtype=torch.long, device=data.device)
    for i, part in enumerate(_nd_places(data, indices)):
        places = places * int(data.shape[i]) + part
    rows = (
        data.reshape(-1, *data.shape[depth:]).flatten(1)
        if depth < data.dim()
        else (data.reshape(-1, 1))
    )
    parts = updates.reshape(places.numel(), -1)
    spread = places.reshape(-1, 1).expand(parts.shape)
    return _scattered(call, rows, 0, spread, parts).reshape(data.shape)


GATHERS: Mapping[str, Operator] = {
    "gather": gather,
    "gather_along_axis": gather_along_axis,
    "gather_nd": gather_nd,
    "scatter": scatter,
    "scatter_along_axis": scatter_along_axis,
    "scatter_nd": scatter_nd,
}
