"""Nearest resizes that Core AI would do otherwise than PyTorch are taken apart.

Core AI's nearest mode measures from the middle of pixels, PyTorch's ``upsample_nearest2d`` from
their corners. They agree where both sides grow by whole numbers; elsewhere the file would be
another model without anyone being told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch._decomp import decomposition_table

NEAREST: Final = torch.ops.aten.upsample_nearest2d.vec


def nearest(
    image: torch.Tensor, size: Sequence[int] | None, scales: Sequence[float] | None
) -> torch.Tensor:
    """The entry of a decomposition table for `NEAREST`.

    Returns:
        PyTorch's own decomposition, which picks rows and columns by number; NotImplemented, which
        leaves the operator as it is, where Core AI gives the same.
    """
    if _by_whole_numbers(tuple(image.shape[2:]), size, scales):
        return NotImplemented  # type: ignore[no-any-return]
    apart = decomposition_table[NEAREST](image, size, scales)
    assert isinstance(apart, torch.Tensor)
    return apart


def _by_whole_numbers(
    before: tuple[int, ...], size: Sequence[int] | None, scales: Sequence[float] | None
) -> bool:
    if scales is not None:
        # 5 pixels by 2.1 are 10, but not each of them twice.
        return all(float(scale).is_integer() for scale in scales)
    return all(new % old == 0 for new, old in zip(size or before, before, strict=True))
