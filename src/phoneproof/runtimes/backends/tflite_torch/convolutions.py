"""Convolutions and matrix products. Weights lie output-first in TFLite: [O, H, W, I]."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional

from phoneproof.core.errors import InvalidInput
from phoneproof.runtimes.backends.tflite_torch.call import (
    TO_FIRST,
    Call,
    Operator,
    Value,
    first,
    part_of,
    plain,
)
from phoneproof.runtimes.backends.tflite_torch.padding import (
    activated,
    is_even,
    padded,
    strides,
    window_pads,
)


def _to_first(weight: torch.Tensor) -> torch.Tensor:
    return weight.permute(TO_FIRST).contiguous()


def _depthwise_weight(weight: torch.Tensor) -> torch.Tensor:
    """[1, H, W, C * multiplier] -> [C * multiplier, 1, H, W]; both count channels first."""
    return weight.permute(3, 0, 1, 2).contiguous()


def _transposed_weight(weight: torch.Tensor) -> torch.Tensor:
    """[O, H, W, I] -> torch's [I, O, H, W]."""
    return weight.permute(3, 0, 1, 2).contiguous()


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.reshape(-1)


def _bias(call: Call, slot: int) -> torch.Tensor | None:
    return call.weight(slot, "bias", _flat) if call.has(slot) else None


def _require_kernel(call: Call, slot: int) -> None:
    rank = call.raw(slot).tensor.dim()
    if rank != 4:
        raise InvalidInput(f"{call.where} has weights of {rank} axes", found="four are needed")


def conv_2d(call: Call) -> Value:
    """CONV_2D, grouped where the weights read fewer channels than the image has."""
    _require_kernel(call, 1)
    image, weight = call.value(0).nchw, call.weight(1, "weight", _to_first)
    groups, rest = divmod(image.shape[1], weight.shape[1])
    if rest or groups < 1 or weight.shape[0] % groups:
        raise InvalidInput(
            f"{call.where} does not fit its image",
            found=f"{image.shape[1]} channels, weights {list(weight.shape)}",
        )
    return _convolved(call, image, weight, groups)


def depthwise_conv_2d(call: Call) -> Value:
    """DEPTHWISE_CONV_2D."""
    _require_kernel(call, 1)
    image, weight = call.value(0).nchw, call.weight(1, "weight", _depthwise_weight)
    return _convolved(call, image, weight, int(image.shape[1]))


def _convolved(call: Call, image: torch.Tensor, weight: torch.Tensor, groups: int) -> Value:
    step = strides(call)
    dilation = (
        call.options.number("dilationHFactor", 1) or 1,
        call.options.number("dilationWFactor", 1) or 1,
    )
    window = (
        (weight.shape[2] - 1) * dilation[0] + 1,
        (weight.shape[3] - 1) * dilation[1] + 1,
    )
    pads = window_pads(call, (image.shape[2], image.shape[3]), window, step)
    inside = (pads[0][0], pads[1][0]) if is_even(pads) else (0, 0)
    if not is_even(pads):
        image = padded(image, pads)
    result = functional.conv2d(image, weight, _bias(call, 2), step, inside, dilation, groups)
    return first(activated(call, result))


def transpose_conv(call: Call) -> Value:
    """TRANSPOSE_CONV: inputs are the output's shape, the weights, the image, maybe a bias."""
    _require_kernel(call, 1)
    sides = call.numbers(0)
    image, weight = call.value(2).nchw, call.weight(1, "weight", _transposed_weight)
    step = strides(call)
    if len(sides) != 4:
        raise InvalidInput(f"{call.where} has an output shape of {len(sides)} numbers")
    wanted = (sides[1], sides[2])
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    # The pads of the convolution that would lead from the output back to the image.
    (top, bottom), (left, right) = window_pads(call, wanted, kernel, step)
    bias = _bias(call, 3)
    full = tuple(
        (side - 1) * s + k for side, s, k in zip(image.shape[2:], step, kernel, strict=True)
    )
    if (top, left) == (bottom, right) and full == (wanted[0] + 2 * top, wanted[1] + 2 * left):
        result = functional.conv_transpose2d(image, weight, bias, step, (top, left))
        return first(activated(call, result))
    result = functional.conv_transpose2d(image, weight, None, step)
    result = _cut(result, (top, left), wanted)
    if bias is not None:
        result = result + bias.reshape(1, -1, 1, 1)
    return first(activated(call, result))


def _cut(image: torch.Tensor, start: tuple[int, int], size: tuple[int, int]) -> torch.Tensor:
    """The part of `size` from `start` on; what lies outside is zero."""
    for axis, (begin, side) in enumerate(zip(start, size, strict=True), start=2):
        have = image.shape[axis]
        if begin + side > have:
            missing = begin + side - have
            after = (0, 0, 0, missing) if axis == 2 else (0, missing, 0, 0)
            image = functional.pad(image, after)
        image = part_of(image, axis, begin, side)
    return image


def fully_connected(call: Call) -> Value:
    """FULLY_CONNECTED: rows of the image's last axis, or of all its numbers where they differ."""
    if call.options.number("weightsFormat"):
        raise call.unsupported("shuffled weights")
    value = call.value(0)
    weight = call.weight(1, "weight", _same)
    if weight.dim() != 2:
        raise InvalidInput(f"{call.where} has weights of {weight.dim()} axes")
    rows = value.plain
    if not call.options.flag("keepNumDims"):
        rows = rows.reshape(-1, weight.shape[1])
    return plain(activated(call, functional.linear(rows, weight, _bias(call, 2))))


def _same(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def batch_matmul(call: Call) -> Value:
    """BATCH_MATMUL with its two flags for transposed factors."""
    left, right = call.value(0).plain, call.value(1).plain
    if call.options.flag("adjX"):
        left = left.transpose(-1, -2)
    if call.options.flag("adjY"):
        right = right.transpose(-1, -2)
    return plain(torch.matmul(left, right))


CONVOLUTIONS: Mapping[str, Operator] = {
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "TRANSPOSE_CONV": transpose_conv,
    "FULLY_CONNECTED": fully_connected,
    "BATCH_MATMUL": batch_matmul,
}
