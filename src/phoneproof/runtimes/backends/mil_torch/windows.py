"""Paddings of windows (convolutions, pools), worked out once for both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from phoneproof.runtimes.backends.mil_torch.call import Call


@dataclass(frozen=True, kw_only=True, slots=True)
class Padding:
    """How much is put before and after each spatial axis."""

    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def symmetric(self) -> bool:
        """The same on both sides, as torch's own arguments want it."""
        return self.before == self.after

    def put(self, x: Tensor, value: float = 0.0) -> Tensor:
        """`x` with the padding around it."""
        if not any(self.before) and not any(self.after):
            return x
        pairs = list(zip(self.before, self.after, strict=True))[::-1]  # torch counts from the back
        return functional.pad(x, [side for pair in pairs for side in pair], value=value)


def spatial(call: Call, key: str, count: int, default: int) -> tuple[int, ...]:
    """A number for each spatial axis (strides, dilations, kernel sizes).

    Raises:
        InvalidInput: not as many numbers as axes.
    """
    numbers = call.integers(key, (default,) * count)
    if len(numbers) != count:
        raise call.misfit(f"{len(numbers)} {key} for {count} spatial axes")
    return numbers


def padding(
    call: Call, sides: Sequence[int], kernel: Sequence[int], strides: Sequence[int]
) -> Padding:
    """What ``pad_type`` and ``pad`` ask for.

    Args:
        sides: of the input. kernel: how far a window reaches, dilation included.
    """
    kind, count = call.text("pad_type", "valid").lower(), len(sides)
    if kind == "valid":
        return Padding(before=(0,) * count, after=(0,) * count)
    if kind == "custom":
        pads = call.integers("pad", (0,) * (2 * count))
        if len(pads) != 2 * count:
            raise call.misfit(f"{len(pads)} paddings for {count} spatial axes")
        return Padding(before=pads[::2], after=pads[1::2])
    if kind not in ("same", "same_lower"):
        raise call.unsupported(f"pad_type {kind!r}")
    totals = [
        max(0, (-(-side // stride) - 1) * stride + reach - side)
        for side, reach, stride in zip(sides, kernel, strides, strict=True)
    ]
    less = tuple(total // 2 for total in totals)
    more = tuple(total - half for total, half in zip(totals, less, strict=True))
    if kind == "same":
        return Padding(before=less, after=more)
    return Padding(before=more, after=less)


def spatial_rank(call: Call, x: Tensor) -> int:
    """How many spatial axes [n, C, *D] has.

    Raises:
        InvalidInput: not 1 to 3.
    """
    count = x.dim() - 2
    if not 1 <= count <= 3:
        raise call.misfit(f"a window over a tensor of {x.dim()} axes")
    return count


def sides_of(x: Tensor) -> tuple[int, ...]:
    """The spatial sides of [n, C, *D]."""
    return tuple(int(side) for side in x.shape[2:])


def ones_like_sides(x: Tensor) -> Tensor:
    """[1, 1, *D] of ones."""
    return torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
