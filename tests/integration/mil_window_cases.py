"""Convolutions, pools, normalisations, products."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from tests.integration.mil_number_cases import MakeCase
from tests.integration.mil_programs import Case, Draw, tensor

_CONV = (functional.conv1d, functional.conv2d, functional.conv3d)
_TRANSPOSED = (
    functional.conv_transpose1d,
    functional.conv_transpose2d,
    functional.conv_transpose3d,
)
_MAX = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)
_AVERAGE = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)


def _padding(
    draw: Draw, sides: Sequence[int], reach: Sequence[int], strides: Sequence[int]
) -> tuple[dict[str, Any], list[int]]:
    """The operation's arguments, and (before, after) of each axis, from the first on."""
    kind = draw.choice(["valid", "custom", "same", "same_lower"])
    if kind == "valid":
        return {"pad_type": kind}, [0] * (2 * len(sides))
    if kind == "custom":
        pads = [draw.integer(0, 2) for _ in range(2 * len(sides))]
        return {"pad_type": kind, "pad": pads}, pads
    pads = []
    for side, length, stride in zip(sides, reach, strides, strict=True):
        total = max(0, (math.ceil(side / stride) - 1) * stride + length - side)
        halves = [total // 2, total - total // 2]
        pads += halves if kind == "same" else halves[::-1]
    return {"pad_type": kind}, pads


def _put(x: torch.Tensor, pads: Sequence[int], value: float = 0.0) -> torch.Tensor:
    pairs = [(pads[i], pads[i + 1]) for i in range(0, len(pads), 2)][::-1]
    return functional.pad(x, [side for pair in pairs for side in pair], value=value)


def conv(draw: Draw) -> Case:
    count, groups = draw.integer(1, 3), draw.choice([1, 1, 2, 3])
    sides = [draw.integer(5, 8) for _ in range(count)]
    kernel, strides, dilations = (
        [draw.integer(1, most) for _ in range(count)] for most in (3, 3, 2)
    )
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    given, pads = _padding(draw, sides, reach, strides)
    each, out = draw.integer(1, 3), groups * draw.integer(1, 2)
    x = draw.array((draw.integer(1, 2), each * groups, *sides))
    weight = draw.array((out, each, *kernel))
    if draw.flag():
        given["bias"] = draw.array((out,))
    bias = tensor(given["bias"]) if "bias" in given else None
    padded = _put(tensor(x), pads)
    expected = _CONV[count - 1](padded, tensor(weight), bias, strides, 0, dilations, groups)
    given |= {"strides": strides, "dilations": dilations, "groups": groups}
    return Case(
        body=lambda mb, x: mb.conv(x=x, weight=weight, name="out", **given),
        feeds=[x],
        expected=[expected],
    )


def conv_transpose(draw: Draw) -> Case:
    count, groups = draw.integer(1, 2), draw.choice([1, 1, 2])
    sides = [draw.integer(2, 5) for _ in range(count)]
    kernel, strides, dilations = (
        [draw.integer(low, high) for _ in range(count)] for low, high in ((1, 4), (1, 3), (1, 2))
    )
    each, out = draw.integer(1, 2), draw.integer(1, 3)
    x = draw.array((1, each * groups, *sides))
    weight, bias = draw.array((each * groups, out, *kernel)), draw.array((out * groups,))
    full = _TRANSPOSED[count - 1](tensor(x), tensor(weight), None, strides, 0, 0, groups, dilations)
    given: dict[str, Any] = {"pad_type": draw.choice(["valid", "custom"])}
    pads = [0] * (2 * count)
    if given["pad_type"] == "custom":
        # what is cut must leave something
        pads = [draw.integer(0, (size - 1) // 2) for size in full.shape[2:] for _ in range(2)]
        given["pad"] = pads
    for axis in range(count):
        length = full.shape[2 + axis] - pads[2 * axis] - pads[2 * axis + 1]
        full = full.narrow(2 + axis, pads[2 * axis], length)
    expected = full + tensor(bias).reshape(1, -1, *[1] * count)
    given |= {"strides": strides, "dilations": dilations, "groups": groups, "bias": bias}
    return Case(
        body=lambda mb, x: mb.conv_transpose(x=x, weight=weight, name="out", **given),
        feeds=[x],
        expected=[expected],
    )


def _pool(draw: Draw, most: int) -> tuple[Any, ...]:
    count = draw.integer(1, most)
    sides = [draw.integer(4, 8) for _ in range(count)]
    kernel = [draw.integer(1, 3) for _ in range(count)]
    strides = [draw.integer(1, 3) for _ in range(count)]
    x = draw.array((1, draw.integer(1, 3), *sides))
    given, pads = _padding(draw, sides, kernel, strides)
    if given["pad_type"] == "custom":  # a window of padding alone is no window
        pads = [min(p, kernel[i // 2] - 1) for i, p in enumerate(pads)]
        given["pad"] = pads
    given |= {"kernel_sizes": kernel, "strides": strides}
    return count, x, kernel, strides, pads, given


def _torch_pool(draw: Draw) -> tuple[Any, ...]:
    """Arguments that torch's own pools know, ceil_mode among them."""
    count = draw.integer(1, 2)
    kernel = [draw.integer(1, 4) for _ in range(count)]
    strides = [draw.integer(1, k) for k in kernel]
    half = [draw.integer(0, k // 2) for k in kernel]
    x = draw.array((1, 2, *(draw.integer(5, 9) for _ in range(count))))
    ceil = draw.flag()
    given = {
        "kernel_sizes": kernel,
        "strides": strides,
        "pad_type": "custom",
        "pad": [side for side in half for _ in range(2)],
        "ceil_mode": ceil,
    }
    return count, x, kernel, strides, half, ceil, given


def max_pool(draw: Draw) -> Case:
    if draw.flag():
        count, x, kernel, strides, half, ceil, given = _torch_pool(draw)
        expected = _MAX[count - 1](tensor(x), kernel, strides, half, 1, ceil)
    else:
        count, x, kernel, strides, pads, given = _pool(draw, 3)
        expected = _MAX[count - 1](_put(tensor(x), pads, -math.inf), kernel, strides)
    return Case(
        body=lambda mb, x: mb.max_pool(x=x, name="out", **given), feeds=[x], expected=[expected]
    )


def avg_pool(draw: Draw) -> Case:
    without = draw.flag()
    if draw.flag():
        count, x, kernel, strides, half, ceil, given = _torch_pool(draw)
        expected = _AVERAGE[count - 1](tensor(x), kernel, strides, half, ceil, not without)
    else:
        count, x, kernel, strides, pads, given = _pool(draw, 3)
        run = _AVERAGE[count - 1]
        expected = run(_put(tensor(x), pads), kernel, strides)
        if without:
            expected = expected / run(_put(torch.ones(x.shape), pads), kernel, strides)
    given["exclude_padding_from_average"] = without
    return Case(
        body=lambda mb, x: mb.avg_pool(x=x, name="out", **given), feeds=[x], expected=[expected]
    )


def l2_pool(draw: Draw) -> Case:
    count, x, kernel, strides, pads, given = _pool(draw, 2)
    squares = _AVERAGE[count - 1](_put(tensor(x) ** 2, pads), kernel, strides)
    return Case(
        body=lambda mb, x: mb.l2_pool(x=x, name="out", **given),
        feeds=[x],
        expected=[torch.sqrt(squares * math.prod(kernel))],
    )


def _scale(draw: Draw, shape: Sequence[int]) -> dict[str, Any]:
    given: dict[str, Any] = {"epsilon": draw.choice([1e-5, 1e-3])}
    if draw.flag():
        given |= {"gamma": draw.array(shape, 0.5, 2.0), "beta": draw.array(shape)}
    return given


def _scaled(x: torch.Tensor, given: dict[str, Any], shape: Sequence[int]) -> torch.Tensor:
    if "gamma" not in given:
        return x
    return x * tensor(given["gamma"]).reshape(*shape) + tensor(given["beta"]).reshape(*shape)


def batch_norm(draw: Draw) -> Case:
    x = draw.array(draw.shape(3, 5))
    channels = x.shape[1]
    mean, variance = draw.array((channels,)), draw.array((channels,), 0.1, 3.0)
    given = _scale(draw, (channels,))
    shape = (1, channels, *[1] * (x.ndim - 2))
    middle = tensor(x) - tensor(mean).reshape(shape)
    result = middle / torch.sqrt(tensor(variance).reshape(shape) + given["epsilon"])
    return Case(
        body=lambda mb, x: mb.batch_norm(x=x, mean=mean, variance=variance, name="out", **given),
        feeds=[x],
        expected=[_scaled(result, given, shape)],
    )


def instance_norm(draw: Draw) -> Case:
    x = draw.array((*draw.shape(2, 2), draw.integer(3, 6), draw.integer(3, 6)))
    given = _scale(draw, (x.shape[1],))
    result = _normal(tensor(x), (2, 3), given["epsilon"])
    return Case(
        body=lambda mb, x: mb.instance_norm(x=x, name="out", **given),
        feeds=[x],
        expected=[_scaled(result, given, (1, -1, 1, 1))],
    )


def _normal(x: torch.Tensor, axes: Sequence[int], epsilon: float) -> torch.Tensor:
    middle = x - x.mean(tuple(axes), keepdim=True)
    return middle / torch.sqrt((middle**2).mean(tuple(axes), keepdim=True) + epsilon)


def layer_norm(draw: Draw) -> Case:
    x = draw.array([draw.integer(2, 5) for _ in range(draw.integer(2, 4))])
    axes = sorted(axis % x.ndim for axis in draw.axes(x.ndim))
    shape = [x.shape[axis] for axis in axes]
    given = _scale(draw, shape)
    result = _normal(tensor(x), axes, given["epsilon"])
    wide = [side if i in axes else 1 for i, side in enumerate(x.shape)]
    return Case(
        body=lambda mb, x: mb.layer_norm(x=x, axes=axes, name="out", **given),
        feeds=[x],
        expected=[_scaled(result, given, wide)],
    )


def l2_norm(draw: Draw) -> Case:
    x = draw.array(draw.shape(3, 5))
    length = (tensor(x) ** 2).sum((-3, -2, -1), keepdim=True)
    return Case(
        body=lambda mb, x: mb.l2_norm(x=x, epsilon=1e-4, name="out"),
        feeds=[x],
        expected=[tensor(x) / torch.sqrt(length + 1e-4)],
    )


def local_response_norm(draw: Draw) -> Case:
    x, size = draw.array((1, draw.integer(3, 6), 3, 2)), draw.choice([1, 3, 5])
    squares = functional.pad(tensor(x) ** 2, (0, 0, 0, 0, size // 2, size // 2))
    sums = squares.unfold(1, size, 1).sum(-1)
    return Case(
        body=lambda mb, x: mb.local_response_norm(
            x=x, size=size, alpha=0.2, beta=0.6, k=1.5, name="out"
        ),
        feeds=[x],
        expected=[tensor(x) / (1.5 + 0.2 / size * sums) ** 0.6],
    )


def linear(draw: Draw) -> Case:
    x = draw.array(draw.shape(1, 3))
    weight, bias = draw.array((4, x.shape[-1])), draw.array((4,))
    return Case(
        body=lambda mb, x: mb.linear(x=x, weight=weight, bias=bias, name="out"),
        feeds=[x],
        expected=[tensor(x) @ tensor(weight).T + tensor(bias)],
    )


def matmul(draw: Draw) -> Case:
    lead = draw.shape(0, 2)
    rows, inner, columns = (draw.integer(1, 5) for _ in range(3))
    turned = draw.flag(), draw.flag()
    x = draw.array((*lead, inner, rows) if turned[0] else (*lead, rows, inner))
    ones = tuple(1 if draw.flag() else side for side in lead)
    y = draw.array((*ones, columns, inner) if turned[1] else (*ones, inner, columns))
    left = tensor(x).mT if turned[0] else tensor(x)
    right = tensor(y).mT if turned[1] else tensor(y)
    return Case(
        body=lambda mb, x, y: mb.matmul(
            x=x, y=y, transpose_x=turned[0], transpose_y=turned[1], name="out"
        ),
        feeds=[x, y],
        expected=[torch.matmul(left, right)],
    )


def einsum(draw: Draw) -> Case:
    n, c, h, w, u = (draw.integer(1, 4) for _ in range(5))
    if draw.flag():
        x, y, equation = draw.array((n, c, h, w)), draw.array((n, w, h, u)), "nchw,nwhu->nchu"
        expected = np.einsum(equation, x, y)
    else:
        x, y, equation = draw.array((c, h, w)), draw.array((w, h, u)), "chw,whr->chr"
        expected = np.einsum(equation, x, y)
    return Case(
        body=lambda mb, x, y: mb.einsum(values=(x, y), equation=equation, name="out"),
        feeds=[x, y],
        expected=[tensor(expected)],
    )


def attention(draw: Draw) -> Case:
    lead, length, keys, depth = draw.shape(1, 2), *(draw.integer(1, 5) for _ in range(3))
    q, k = draw.array((*lead, length, depth)), draw.array((*lead, keys, depth))
    v = draw.array((*lead, keys, draw.integer(1, 4)))
    kind = draw.choice(["none", "float", "bool"])
    mask = draw.array((length, keys)) if kind != "none" else None
    blocked = mask is not None and kind == "bool"
    if blocked and mask is not None:
        mask[:, 0] = 1.0  # something must be let through
    feeds = [q, k, v] if mask is None else [q, k, v, mask]

    def body(mb: Any, q: Any, k: Any, v: Any, mask: Any = None) -> Any:
        given = {} if mask is None else {"attn_mask": mask}
        if blocked:
            given["attn_mask"] = mb.greater(x=mask, y=0.0)
        return mb.scaled_dot_product_attention(query=q, key=k, value=v, name="out", **given)

    torch_mask = None if mask is None else tensor(mask) > 0 if blocked else tensor(mask)
    expected = functional.scaled_dot_product_attention(
        tensor(q), tensor(k), tensor(v), attn_mask=torch_mask
    )
    return Case(body=body, feeds=feeds, expected=[expected], opset="iOS18")


WINDOW_CASES: Mapping[str, MakeCase] = {
    "avg_pool": avg_pool,
    "batch_norm": batch_norm,
    "conv": conv,
    "conv_transpose": conv_transpose,
    "einsum": einsum,
    "instance_norm": instance_norm,
    "l2_norm": l2_norm,
    "l2_pool": l2_pool,
    "layer_norm": layer_norm,
    "linear": linear,
    "local_response_norm": local_response_norm,
    "matmul": matmul,
    "max_pool": max_pool,
    "scaled_dot_product_attention": attention,
}
