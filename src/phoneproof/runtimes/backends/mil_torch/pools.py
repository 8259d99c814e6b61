"""Pools: maximum, mean, length."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from phoneproof.runtimes.backends.mil_torch.call import Call, Operator
from phoneproof.runtimes.backends.mil_torch.windows import (
    Padding,
    ones_like_sides,
    padding,
    sides_of,
    spatial,
    spatial_rank,
)

_MAX = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)
_AVERAGE = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Windows:
    """overhang: what the last window reaches beyond the padding (``ceil_mode``)."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: Padding
    overhang: tuple[int, ...]

    @property
    def count(self) -> int:
        return len(self.kernel)

    @property
    def plain(self) -> bool:
        """Whether torch's own arguments say it: even paddings of at most half a window."""
        halves = all(p <= k // 2 for p, k in zip(self.pads.before, self.kernel, strict=True))
        return self.pads.symmetric and halves and not any(self.overhang)

    def put(self, x: Tensor, value: float) -> Tensor:
        """`x` with padding and overhang around it."""
        behind = tuple(a + o for a, o in zip(self.pads.after, self.overhang, strict=True))
        return Padding(before=self.pads.before, after=behind).put(x, value)

    def sum(self, padded: Tensor) -> Tensor:
        """Of each window."""
        mean = _AVERAGE[self.count - 1](padded, self.kernel, self.strides)
        return mean * math.prod(self.kernel)


def _windows(call: Call, x: Tensor) -> _Windows:
    count = spatial_rank(call, x)
    kernel = spatial(call, "kernel_sizes", count, 1)
    strides = spatial(call, "strides", count, 1)
    pads = padding(call, sides_of(x), kernel, strides)
    overhang = [0] * count
    if call.flag("ceil_mode"):
        for axis, side in enumerate(sides_of(x)):
            room = side + pads.before[axis] + pads.after[axis] - kernel[axis]
            steps = -(-room // strides[axis])
            if steps * strides[axis] >= side + pads.before[axis]:
                steps -= 1  # no window begins behind the input
            overhang[axis] = max(0, steps * strides[axis] - room)
    return _Windows(kernel=kernel, strides=strides, pads=pads, overhang=tuple(overhang))


def max_pool(call: Call, /) -> Tensor:
    """The largest of each window; padding never wins."""
    x = call.tensor("x")
    windows = _windows(call, x)
    run = _MAX[windows.count - 1]
    if windows.plain:
        return run(x, windows.kernel, windows.strides, windows.pads.before)
    return run(windows.put(x, -math.inf), windows.kernel, windows.strides)


def avg_pool(call: Call, /) -> Tensor:
    """The mean of each window, with the padding's zeros or without them.

    What a last window reaches beyond the padding is never counted, as in torch.
    """
    x = call.tensor("x")
    windows, without = _windows(call, x), call.flag("exclude_padding_from_average")
    if windows.plain:
        run = _AVERAGE[windows.count - 1]
        return run(
            x,
            windows.kernel,
            windows.strides,
            windows.pads.before,
            count_include_pad=not without,
        )
    ones = ones_like_sides(x)
    counted = ones if without else windows.pads.put(ones, 1.0)
    pads = windows if without else _only_overhang(windows)
    return windows.sum(windows.put(x, 0.0)) / torch.round(windows.sum(pads.put(counted, 0.0)))


def _only_overhang(windows: _Windows) -> _Windows:
    none = (0,) * windows.count
    return _Windows(
        kernel=windows.kernel,
        strides=windows.strides,
        pads=Padding(before=none, after=none),
        overhang=windows.overhang,
    )


def l2_pool(call: Call, /) -> Tensor:
    """The square root of each window's sum of squares."""
    x = call.tensor("x")
    windows = _windows(call, x)
    return torch.sqrt(windows.sum(windows.put(x * x, 0.0)))


POOLS: Mapping[str, Operator] = {"avg_pool": avg_pool, "l2_pool": l2_pool, "max_pool": max_pool}
