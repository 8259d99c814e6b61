"""Pools. TensorFlow averages over the pixels of the image only, never over its padding."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional

from phoneproof.runtimes.backends.tflite_torch.call import Call, Operator, Value, first
from phoneproof.runtimes.backends.tflite_torch.padding import (
    Pads,
    activated,
    is_even,
    padded,
    strides,
    window_pads,
)

_LOWEST = torch.finfo(torch.float32).min


def _window(call: Call) -> tuple[int, int]:
    return call.options.positive("filterHeight"), call.options.positive("filterWidth")


def average_pool_2d(call: Call) -> Value:
    """AVERAGE_POOL_2D."""
    image, kernel, step = call.value(0).nchw, _window(call), strides(call)
    size = (int(image.shape[2]), int(image.shape[3]))
    pads = window_pads(call, size, kernel, step)
    if pads == ((0, 0), (0, 0)):
        return first(activated(call, functional.avg_pool2d(image, kernel, step)))
    if is_even(pads) and _fits(pads, kernel):
        inside = (pads[0][0], pads[1][0])
        pooled = functional.avg_pool2d(image, kernel, step, inside, count_include_pad=False)
        return first(activated(call, pooled))
    pooled = functional.avg_pool2d(padded(image, pads), kernel, step)
    share = call.weights.parameter(
        "share", (-1, call.where), lambda: _full_by_real(size, pads, kernel, step)
    )
    return first(activated(call, pooled * share))


def _fits(pads: Pads, kernel: tuple[int, int]) -> bool:
    """torch pads a pool by at most half its window."""
    return all(pad[0] <= side // 2 for pad, side in zip(pads, kernel, strict=True))


def _full_by_real(
    size: tuple[int, int], pads: Pads, kernel: tuple[int, int], step: tuple[int, int]
) -> torch.Tensor:
    """Window size by the number of image pixels in it, at each position: [1, 1, H, W]."""
    ones = padded(torch.ones(1, 1, *size), pads)
    return 1.0 / functional.avg_pool2d(ones, kernel, step)


def max_pool_2d(call: Call) -> Value:
    """MAX_POOL_2D."""
    image, kernel, step = call.value(0).nchw, _window(call), strides(call)
    pads = window_pads(call, (int(image.shape[2]), int(image.shape[3])), kernel, step)
    inside = (0, 0)
    if is_even(pads) and _fits(pads, kernel):
        inside = (pads[0][0], pads[1][0])
    else:
        image = padded(image, pads, _LOWEST)
    return first(activated(call, functional.max_pool2d(image, kernel, step, inside)))


def l2_pool_2d(call: Call) -> Value:
    """L2_POOL_2D: root of the mean square; only where nothing is padded."""
    image, kernel, step = call.value(0).nchw, _window(call), strides(call)
    pads = window_pads(call, (int(image.shape[2]), int(image.shape[3])), kernel, step)
    if pads != ((0, 0), (0, 0)):
        raise call.unsupported("SAME padding")
    return first(activated(call, torch.sqrt(functional.avg_pool2d(image * image, kernel, step))))


POOLS: Mapping[str, Operator] = {
    "AVERAGE_POOL_2D": average_pool_2d,
    "MAX_POOL_2D": max_pool_2d,
    "L2_POOL_2D": l2_pool_2d,
}
