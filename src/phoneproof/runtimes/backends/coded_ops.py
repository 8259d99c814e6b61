"""Operators that expand small weights: what hub programs hold in place of float weights.

Only float weights survive a plain torch program: an integer and a scale would be multiplied into a
float by whatever folds constants. Importing this module makes the operators known to PyTorch, which
a program that holds them cannot be loaded without.
"""

from __future__ import annotations

from typing import Any, Final, cast

import torch
from torch import Tensor


def _from_integers(codes: Tensor, scale: Tensor, bits: int) -> Tensor:
    """codes: int8, at most `bits` bits each. scale: a float for each block, of as many axes."""
    del bits  # how they are stored
    return codes.to(scale.dtype) * _spread(scale, codes.shape)


def _from_palettes(indices: Tensor, palettes: Tensor) -> Tensor:
    """indices: uint8. palettes: ``(groups of each axis ..., values, 1)``."""
    tables = _spread(palettes[..., 0], indices.shape)
    return tables.gather(-1, indices.long()[..., None])[..., 0]


def _from_mask(mask: Tensor, values: Tensor) -> Tensor:
    """values: those of the places where `mask` (bool) is true, in its order; the others are 0."""
    return torch.zeros(mask.shape, dtype=values.dtype).masked_scatter(mask, values)


def _spread(few: Tensor, shape: torch.Size) -> Tensor:
    """Every place of a block reads what its block has; axes behind those of `shape` stay."""
    for axis, side in enumerate(shape):
        few = few.repeat_interleave(side // few.shape[axis], dim=axis)
    return few


def _integers_like(codes: Tensor, scale: Tensor, bits: int) -> Tensor:
    del bits
    return codes.new_empty(codes.shape, dtype=scale.dtype)


def _numbers_like(shaped: Tensor, numbers: Tensor) -> Tensor:
    return shaped.new_empty(shaped.shape, dtype=numbers.dtype)


def _registered() -> torch.library.Library:
    library: Any = torch.library
    made = library.Library("phoneproof", "DEF")
    for schema, run, shape in (
        ("from_integers(Tensor codes, Tensor scale, int bits)", _from_integers, _integers_like),
        ("from_palettes(Tensor indices, Tensor palettes)", _from_palettes, _numbers_like),
        ("from_mask(Tensor mask, Tensor values)", _from_mask, _numbers_like),
    ):
        made.define(f"{schema} -> Tensor")
        name = schema.partition("(")[0]
        made.impl(name, run, "CPU")
        made.impl(name, shape, "Meta")
    return cast(torch.library.Library, made)


_LIBRARY: Final = _registered()
"""Kept: the operators go with it."""

FROM_INTEGERS: Final = torch.ops.phoneproof.from_integers.default
FROM_PALETTES: Final = torch.ops.phoneproof.from_palettes.default
FROM_MASK: Final = torch.ops.phoneproof.from_mask.default
