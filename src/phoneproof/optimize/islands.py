"""Which operations of a float16 program stay float32: where numbers leave float16's range, and
where rounding costs the most."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from phoneproof.core.optimization import LayerDamage
from phoneproof.optimize.weight_codes import Weights

LARGEST: Final = float(np.finfo(np.float16).max)
"""65504: what is larger becomes infinity."""

SMALLEST: Final = float(np.finfo(np.float16).smallest_normal)
"""2**-14: what is smaller has fewer digits, and none below 2**-25. Some hardware takes it for 0."""

LOST_WEIGHTS: Final = 2.0**-9
"""Largest rounding error of a layer's weights (root mean square, relative) that float16 may make.
Half a unit in the last place is 2**-12 to 2**-11; four times as much means that most weights are
denormal numbers, below 6e-5, which some hardware takes for zero."""


_FINE: Final = 16
"""`least` is right to a sixteenth: each closer look computes every image again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Computation:
    """An operation of a program: its name, the values it reads and those it makes (by name).

    moves: what it makes are numbers that it reads (a reshape, a ReLU).
    """

    name: str
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    moves: bool = False


def out_of_range(
    computations: Iterable[Computation], largest: Mapping[str, float]
) -> tuple[str, ...]:
    """The operations that make or read a value that float16 cannot hold, in the program's order:
    one beyond its largest number, or one that is nowhere as large as its smallest normal number.

    The maker alone is not enough: a reader that computes in float16 would round the value again.

    Args:
        largest: value's name -> the largest magnitude seen; unknown values and those that are all
            zero count as held.
    """
    lost = unheld(largest)
    return tuple(one.name for one in computations if not lost.isdisjoint(one.reads + one.makes))


def unheld(largest: Mapping[str, float]) -> frozenset[str]:
    """The values that float16 cannot hold: too large, or all too small (see `out_of_range`)."""
    return frozenset(
        name for name, size in largest.items() if not (size == 0 or SMALLEST <= size <= LARGEST)
    )


def with_readers(computations: Iterable[Computation], layers: Collection[str]) -> tuple[str, ...]:
    """The operations that keep what some layers make in float32, in the program's order.

    A value is rounded where a float16 operation makes or reads it: so those that read it stay
    float32 too. One of them that only moves numbers would round the same ones behind it; then its
    readers stay as well.
    """
    wide: set[str] = set()
    found = []
    for one in computations:
        chosen, reads = one.name in layers, not wide.isdisjoint(one.reads)
        if chosen or (reads and one.moves):
            wide.update(one.makes)
        if chosen or reads:
            found.append(one.name)
    return tuple(found)


def lost_in_float16(weights: Weights) -> bool:
    """Whether float16 has no room for a layer's weights: too large, or most of them too small."""
    if not weights.size or weights.dtype == np.float16:
        return False
    wide = weights.astype(np.float64)
    if np.abs(wide).max() > LARGEST:
        return True
    error = wide.astype(np.float16).astype(np.float64) - wide
    power = float(np.mean(wide**2))
    return power > 0 and math.sqrt(float(np.mean(error**2)) / power) > LOST_WEIGHTS


def expected_db(damage: Sequence[LayerDamage], without: Collection[str] = ()) -> float:
    """The signal-to-noise ratio of the output that is worst off, where some layers do not round."""
    left = (dict(one.by_output) for one in damage if one.layer not in without)
    return _db(max(_summed(left).values(), default=0.0))


def fewest(damage: Sequence[LayerDamage], snr_db: float) -> tuple[str, ...]:
    """As few layers as bring the expected noise of every output down to a signal-to-noise ratio.

    One after the other, the layer that does most to the output that is then worst off.

    Args:
        damage: noise power of each layer alone on each output, relative to that output's signal.
        snr_db: 20 dB a factor of 10 in amplitude.

    Returns:
        Their names, in the order they were taken.
    """
    rest = {one.layer: dict(one.by_output) for one in damage}
    taken: list[str] = []
    while rest:
        noise = _summed(rest.values())
        if not noise or _db(max(noise.values())) >= snr_db:
            break
        worst = max(noise, key=lambda output: noise[output])
        most = max(rest, key=lambda layer: rest[layer].get(worst, 0.0))
        del rest[most]
        taken.append(most)
    return tuple(taken)


def least(reached: Callable[[int], float], aim: float, guess: int, most: int) -> int:
    """The smallest count that reaches `aim`, to one part in `_FINE`; `most` where none does.

    Args:
        reached: rises with the count. guess: where to begin.
    """
    low, high = 0, max(1, min(guess, most))
    while high < most and reached(high) < aim:
        low, high = high, min(most, high + max(1, high // 4))
    if low == 0 and high > 3 and reached(high * 3 // 4) < aim:
        low = high * 3 // 4
    while high - low > max(1, high // _FINE):
        middle = (low + high) // 2
        if reached(middle) < aim:
            low = middle
        else:
            high = middle
    return min(high, most)


def _summed(layers: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Output -> the powers of all layers on it, summed."""
    found: dict[str, float] = {}
    for by_output in layers:
        for output, power in by_output.items():
            found[output] = found.get(output, 0.0) + power
    return found


def _db(noise: float) -> float:
    return -10 * math.log10(noise) if noise > 0 else math.inf
