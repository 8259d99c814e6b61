"""Convolutions."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from phoneproof.runtimes.backends.mil_torch.call import Call, Operator
from phoneproof.runtimes.backends.mil_torch.windows import (
    Padding,
    padding,
    sides_of,
    spatial,
    spatial_rank,
)

_CONV = (functional.conv1d, functional.conv2d, functional.conv3d)
_TRANSPOSED = (
    functional.conv_transpose1d,
    functional.conv_transpose2d,
    functional.conv_transpose3d,
)


def conv(call: Call, /) -> Tensor:
    """Convolution of [n, C, *D] with weights [C_out, C / groups, *K]."""
    x, weight, bias = call.tensor("x"), call.tensor("weight"), call.optional("bias")
    count = spatial_rank(call, x)
    strides = spatial(call, "strides", count, 1)
    dilations = spatial(call, "dilations", count, 1)
    reach = _reach(weight, dilations)
    pads = padding(call, sides_of(x), reach, strides)
    groups = call.integer("groups", 1)
    if pads.symmetric:
        inside = pads.before
    else:
        x, inside = pads.put(x), (0,) * count
    return _CONV[count - 1](x, weight, bias, strides, inside, dilations, groups)


def conv_transpose(call: Call, /) -> Tensor:
    """Transposed convolution of [n, C, *D] with weights [C, C_out / groups, *K]."""
    x, weight, bias = call.tensor("x"), call.tensor("weight"), call.optional("bias")
    count = spatial_rank(call, x)
    strides = spatial(call, "strides", count, 1)
    dilations = spatial(call, "dilations", count, 1)
    groups = call.integer("groups", 1)
    reach = _reach(weight, dilations)
    whole = [
        (side - 1) * stride + length
        for side, stride, length in zip(sides_of(x), strides, reach, strict=True)
    ]
    cut, sides = _cut(call, whole, sides_of(x), strides)
    run = _TRANSPOSED[count - 1]
    fits = all(2 * c + side == w for c, side, w in zip(cut.before, sides, whole, strict=True))
    if cut.symmetric and fits:
        return run(x, weight, bias, strides, cut.before, 0, groups, dilations)
    result = run(x, weight, None, strides, 0, 0, groups, dilations)
    return _biased(_window(result, cut.before, sides), bias)


def _reach(weight: Tensor, dilations: tuple[int, ...]) -> tuple[int, ...]:
    kernel = sides_of(weight)
    return tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))


def _cut(
    call: Call, whole: list[int], sides: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[Padding, tuple[int, ...]]:
    """What is cut off the whole result at each end, and the sides that are left."""
    kind, count = call.text("pad_type", "valid").lower(), len(whole)
    if kind not in ("same", "valid", "custom"):  # MIL has no "same_lower" here
        raise call.unsupported(f"pad_type {kind!r}")
    shape = call.integers("output_shape", ())
    if kind == "same":
        left = shape[2:] or tuple(s * stride for s, stride in zip(sides, strides, strict=True))
        totals = [max(0, w - s) for w, s in zip(whole, left, strict=True)]
        before = tuple(total // 2 for total in totals)
        after = tuple(total - total // 2 for total in totals)
        return Padding(before=before, after=after), left
    none = (0,) * (2 * count)
    pads = call.integers("pad", none) if kind == "custom" else none
    if len(pads) != 2 * count:
        raise call.misfit(f"{len(pads)} paddings for {count} spatial axes")
    cut = Padding(before=pads[::2], after=pads[1::2])
    rest = (w - b - a for w, b, a in zip(whole, cut.before, cut.after, strict=True))
    return cut, shape[2:] or tuple(rest)


def _window(x: Tensor, before: tuple[int, ...], sides: tuple[int, ...]) -> Tensor:
    """`sides` numbers from `before` on; zeros behind where there are not as many."""
    missing = tuple(
        max(0, b + side - have) for b, side, have in zip(before, sides, sides_of(x), strict=True)
    )
    x = Padding(before=(0,) * len(sides), after=missing).put(x)
    places = tuple(slice(b, b + side) for b, side in zip(before, sides, strict=True))
    return x[(slice(None), slice(None), *places)]


def _biased(x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else x + bias.reshape((1, -1) + (1,) * (x.dim() - 2))


CONVOLUTIONS: Mapping[str, Operator] = {"conv": conv, "conv_transpose": conv_transpose}
