"""Operations that read and write numbers at places that a tensor names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tests.integration.mil_number_cases import MakeCase
from tests.integration.mil_programs import Array, Case, Draw, tensor


def gather(draw: Draw) -> Case:
    x = draw.array([draw.integer(2, 4) for _ in range(3)])
    axis = draw.integer(0, 2)
    batch = draw.integer(0, min(axis, 1))
    lead = x.shape[:batch]
    indices = draw.whole((*lead, *draw.shape(1, 2)), 0, x.shape[axis] - 1)
    if batch:
        rows = [np.take(x[i], indices[i], axis=axis - 1) for i in range(lead[0])]
        expected = np.stack(rows)
    else:
        indices -= draw.choice([0, x.shape[axis]])  # counted from the end
        expected = np.take(x, indices % x.shape[axis], axis=axis)
    return Case(
        body=lambda mb, x, y: mb.gather(x=x, indices=y, axis=axis, batch_dims=batch, name="out"),
        feeds=[x, indices],
        expected=[tensor(expected)],
        opset="iOS16",
    )


def gather_along_axis(draw: Draw) -> Case:
    x, axis = draw.array(draw.shape(1, 3)), 0
    axis = draw.integer(0, x.ndim - 1)
    shape = list(x.shape)
    shape[axis] = draw.integer(1, 4)
    indices = draw.whole(shape, 0, x.shape[axis] - 1)
    return Case(
        body=lambda mb, x, y: mb.gather_along_axis(x=x, indices=y, axis=axis, name="out"),
        feeds=[x, indices],
        expected=[tensor(np.take_along_axis(x, indices, axis))],
    )


def gather_nd(draw: Draw) -> Case:
    x, batch, depth = draw.array((3, 2, 4)), draw.integer(0, 1), draw.integer(1, 2)
    rows = draw.integer(1, 4)
    most = min(x.shape[batch : batch + depth]) - 1
    indices = draw.whole((3, rows, depth) if batch else (rows, depth), 0, most)
    if batch:
        expected = np.stack([x[i][tuple(indices[i].T)] for i in range(3)])
    else:
        expected = x[tuple(indices.T)]
    return Case(
        body=lambda mb, x, y: mb.gather_nd(x=x, indices=y, batch_dims=batch, name="out"),
        feeds=[x, indices],
        expected=[tensor(expected)],
        opset="iOS16",
    )


_MODES: Mapping[str, Callable[[float, float], float]] = {
    "update": lambda old, new: new,
    "add": lambda old, new: old + new,
    "sub": lambda old, new: old - new,
    "mul": lambda old, new: old * new,
    "div": lambda old, new: old / new,
    "max": max,
    "min": min,
}


def _scattered(draw: Draw, op: str) -> tuple[Array, str, Callable[[Array, Any, Any], None]]:
    mode = draw.choice(list(_MODES))

    def put(result: Array, place: Any, value: Any) -> None:
        result[place] = np.vectorize(_MODES[mode])(result[place], value)

    return draw.array((4, 3), 0.5, 2.0), mode, put


def scatter_along_axis(draw: Draw) -> Case:
    data, mode, put = _scattered(draw, "scatter_along_axis")
    indices = np.stack([draw.permutation(4) for _ in range(3)], 1).astype(np.int32)[:2]
    updates = draw.array(indices.shape, 0.5, 2.0)
    expected = data.copy()
    for place in np.ndindex(*indices.shape):
        put(expected, (int(indices[place]), place[1]), updates[place])
    return Case(
        body=lambda mb, x, y, z: mb.scatter_along_axis(
            data=x, indices=y, updates=z, axis=0, mode=mode, name="out"
        ),
        feeds=[data, indices, updates],
        expected=[tensor(expected)],
        opset="iOS15",
    )


def scatter(draw: Draw) -> Case:
    data, mode, put = _scattered(draw, "scatter")
    axis = draw.integer(0, 1)
    indices = np.array(draw.permutation(3)[:2], np.int32)
    updates = draw.array((2, 3) if axis == 0 else (4, 2), 0.5, 2.0)
    expected = data.copy()
    for i, place in enumerate(indices):
        where = (place,) if axis == 0 else (slice(None), place)
        put(expected, where, updates[i] if axis == 0 else updates[:, i])
    return Case(
        body=lambda mb, x, y, z: mb.scatter(
            data=x, indices=y, updates=z, axis=axis, mode=mode, name="out"
        ),
        feeds=[data, indices, updates],
        expected=[tensor(expected)],
        opset="iOS15",
    )


def scatter_nd(draw: Draw) -> Case:
    data, mode, put = _scattered(draw, "scatter_nd")
    depth = draw.integer(1, 2)
    columns = np.array([draw.permutation(3)[:2] for _ in range(depth)], np.int32)
    indices = np.ascontiguousarray(columns.T)
    updates = draw.array((2, 3) if depth == 1 else (2,), 0.5, 2.0)
    expected = data.copy()
    for i in range(2):
        put(expected, tuple(indices[i]), updates[i])
    return Case(
        body=lambda mb, x, y, z: mb.scatter_nd(data=x, indices=y, updates=z, mode=mode, name="out"),
        feeds=[data, indices, updates],
        expected=[tensor(expected)],
        opset="iOS15",
    )


GATHER_CASES: Mapping[str, MakeCase] = {
    "gather": gather,
    "gather_along_axis": gather_along_axis,
    "gather_nd": gather_nd,
    "scatter": scatter,
    "scatter_along_axis": scatter_along_axis,
    "scatter_nd": scatter_nd,
}
