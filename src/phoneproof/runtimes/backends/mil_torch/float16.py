"""Numbers of 16 bits kept as float32, and what is lost where they are made.

An operation whose output is declared float16 is computed in float32 on inputs that 16 bits can
hold, and its result rounded to 16 bits (half to even; infinite from 65520 on), then widened again,
which is exact. Phones may keep sums inside one operation in 16 bits too: that is not imitated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from torch import Tensor

from phoneproof.formats.coreml.program import MilDType, TensorType
from phoneproof.runtimes.float16_finding import Float16Finding

SMALLEST_NORMAL: Final = 2.0**-14
"""Of float16; smaller numbers have fewer digits."""
_MAGNITUDE: Final = 0x7FFF
_INFINITE: Final = 0x7C00
_FIRST_NORMAL: Final = 0x0400

KINDS: Final[Mapping[MilDType, torch.dtype]] = {
    "bool": torch.bool,
    "float16": torch.float32,
    "float32": torch.float32,
    "bfloat16": torch.float32,
    "int4": torch.int8,
    "int8": torch.int8,
    "int16": torch.int32,
    "int32": torch.int32,
    "int64": torch.int64,
    "uint1": torch.uint8,
    "uint2": torch.uint8,
    "uint3": torch.uint8,
    "uint4": torch.uint8,
    "uint6": torch.uint8,
    "uint8": torch.uint8,
    "uint16": torch.int32,
    "uint32": torch.int64,
}
"""The type of numbers that a declared one is kept in."""

MOVES: Final = frozenset(
    {
        "batch_to_space",
        "concat",
        "crop",
        "depth_to_space",
        "expand_dims",
        "flatten2d",
        "gather",
        "gather_along_axis",
        "gather_nd",
        "identity",
        "max_pool",
        "pixel_shuffle",
        "pixel_unshuffle",
        "relu",
        "reshape",
        "reshape_like",
        "resize_nearest_neighbor",
        "reverse",
        "select",
        "slice_by_index",
        "slice_by_size",
        "slice_update",
        "sliding_windows",
        "space_to_batch",
        "space_to_depth",
        "split",
        "squeeze",
        "stack",
        "tile",
        "topk",
        "transpose",
        "upsample_nearest_neighbor",
    }
)
"""Operations whose results are numbers of their inputs, or zero: 16 bits hold them already."""


def rounded(values: Tensor) -> Tensor:
    """Float32 numbers that 16 bits hold."""
    return values.to(torch.float16).to(torch.float32)


def finding(operation: str, kind: str, before: Tensor) -> Float16Finding:
    """What rounding `before` (float32, on the CPU) to float16 loses.

    Counted by NumPy, on the bits: several times as fast as torch's comparisons.
    """
    bits = before.to(torch.float16).view(torch.int16).bitwise_and(_MAGNITUDE).numpy()
    numbers = before.numpy()
    infinite = int(np.count_nonzero(bits == _INFINITE))
    zeros = bits.size - int(np.count_nonzero(bits))
    small = int(np.count_nonzero(bits < _FIRST_NORMAL))
    odd = infinite > 0 or int(np.count_nonzero(bits > _INFINITE)) > 0
    finite = numbers[np.isfinite(numbers)] if odd else numbers
    return Float16Finding(
        operation=operation,
        type=kind,
        values=bits.size,
        overflows=infinite - int(np.count_nonzero(np.isinf(numbers))) if infinite else 0,
        subnormals=small - zeros,
        vanished=zeros - bits.size + int(np.count_nonzero(numbers)) if zeros else 0,
        largest=float(max(-finite.min(), finite.max())) if finite.size else 0.0,
    )


def kept(values: Tensor, declared: TensorType) -> Tensor:
    """A result in the type that its declared one is kept in; not yet rounded to 16 bits."""
    return values.to(KINDS[declared.dtype])
