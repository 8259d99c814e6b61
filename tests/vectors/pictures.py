"""Pictures by formula: every language makes the same bytes, so that no file has to hold them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.schema import SchemaType

_WAVE = 511


class Picture(SchemaType, frozen=True, kw_only=True):
    """uint8 [height, width, channels], row-major; all arithmetic is unsigned modulo 2^32.

    noise: a hash of the flat index: every value, no neighbour like the other. waves: slow and
    fast ramps that fold back at 255: smooth, with edges where rounding shows.
    """

    kind: Literal["noise", "waves"]
    seed: int
    height: int
    width: int
    channels: int = 3


def pixels(picture: Picture) -> NDArray[np.uint8]:
    """The picture's bytes, uint8 [height, width, channels]."""
    shape = (picture.height, picture.width, picture.channels)
    if picture.kind == "noise":
        count = picture.height * picture.width * picture.channels
        return noise(picture.seed, count).reshape(shape)
    return _waves(picture)


def noise(seed: int, count: int) -> NDArray[np.uint8]:
    """uint8 [count] of flat indices 0, 1, ... (the mixing steps are a 32-bit integer hash).

    ``x = seed * 0x9E3779B1 + i * 0x85EBCA77``, then xor-shift 15, times 0x2C1B3C6D, xor-shift 12,
    times 0x297A2D39, xor-shift 15; the value is the upper byte. Any fixed mixing would do.
    """
    index = np.arange(count, dtype=np.uint32)
    start = np.uint32(seed * 0x9E3779B1 % 2**32)
    x = start + index * np.uint32(0x85EBCA77)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x2C1B3C6D)
    x ^= x >> np.uint32(12)
    x *= np.uint32(0x297A2D39)
    x ^= x >> np.uint32(15)
    return (x >> np.uint32(24)).astype(np.uint8)


def _waves(picture: Picture) -> NDArray[np.uint8]:
    y, x, channel = np.meshgrid(
        *(np.arange(n, dtype=np.uint32) for n in (picture.height, picture.width, picture.channels)),
        indexing="ij",
        sparse=True,
    )
    seed = np.full((1, 1, 1), picture.seed, np.uint32)  # an array: scalars warn where they wrap
    product = x * y * seed // np.uint32(64)
    linear = seed * np.uint32(37) + x * np.uint32(7) + y * np.uint32(11) + channel * np.uint32(83)
    value = (linear + product) % np.uint32(_WAVE)
    folded = np.where(value <= 255, value, np.uint32(_WAVE - 1) - value)
    return folded.astype(np.uint8)
