"""Numbers of less than a byte, packed without gaps.

The first number lies in the lowest bits of the first byte, and one may straddle two bytes
(``mlmodel/src/MILBlob/SubByteTypes.hpp`` of coremltools).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def packed_size(count: int, bits: int) -> int:
    """Bytes that `count` numbers of `bits` bits take."""
    return -(-count * bits // 8)


def packed(values: Bytes, bits: int) -> Bytes:
    """Numbers (0 .. 2**bits - 1, one in a byte, flat) as `packed_size` bytes; zeros fill up."""
    each = np.unpackbits(values[:, None], axis=1, bitorder="little", count=bits)
    return np.packbits(each.reshape(-1), bitorder="little")


def unpacked(data: Bytes, count: int, bits: int, *, signed: bool) -> NDArray[Any]:
    """The numbers, each in a byte of its own (int8 where signed, in two's complement).

    Args:
        data: `packed_size(count, bits)` bytes.
    """
    values = _whole(data, bits)[:count] if 8 % bits == 0 else _straddling(data, count, bits)
    if not signed:
        return values
    top = np.int8(1 << (bits - 1))
    return (values.astype(np.int8) ^ top) - top


def _whole(data: Bytes, bits: int) -> Bytes:
    places = np.arange(0, 8, bits, dtype=np.uint8)
    mask = np.uint8((1 << bits) - 1)
    return ((data[:, None] >> places) & mask).reshape(-1)


def _straddling(data: Bytes, count: int, bits: int) -> Bytes:
    each = np.unpackbits(data, bitorder="little", count=count * bits).reshape(count, bits)
    values = np.zeros(count, np.uint8)
    for place in range(bits):
        values |= each[:, place] << place
    return values
