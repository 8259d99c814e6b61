"""Which layers stay float when the most harmful ones are spared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from phoneproof.core.optimization import LayerDamage

FEWER: Final = 2
"""Tries between the last count of wide layers that was refused and the first that was accepted."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """An operator of a float32 file. readers: the operators that read what it gives. macs: its
    share of all multiply-accumulates (0..1).
    """

    name: str
    readers: tuple[str, ...]
    macs: float


def wide_layers(
    layers: tuple[Layer, ...], damage: tuple[LayerDamage, ...], count: int
) -> tuple[tuple[str, ...], float]:
    """The float layers that keep the outputs of the `count` most harmful layers in float.

    A value stays float only where both its maker and its readers compute in float: between a
    float and an int8 operator it is rounded all the same.

    Returns:
        Names in the file's order, and their share of the multiply-accumulates.
    """
    readers = {layer.name: layer.readers for layer in layers}
    kept: set[str] = set()
    for one in damage[:count]:
        kept |= {one.layer, *readers.get(one.layer, ())}
    chosen = [layer for layer in layers if layer.name in kept]
    return tuple(layer.name for layer in chosen), sum(layer.macs for layer in chosen)


def doubling(end: int) -> Iterator[int]:
    """1, 2, 4 ... as far as `end`."""
    count = 1
    while count <= end:
        yield count
        count *= 2


def try_fewer(refused: int, accepted: int, accepts: Callable[[int], bool]) -> None:
    """Halve what lies between the last count that was refused and the first that was accepted, as
    far as that goes in `FEWER` tries.

    accepts: tries a count; whether what it gave is accepted.
    """
    for _ in range(FEWER):
        middle = (refused + accepted) // 2
        if middle in (refused, accepted):
            return
        if accepts(middle):
            accepted = middle
        else:
            refused = middle
