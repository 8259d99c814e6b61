"""Which operations of a float16 program stay float32."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from phoneproof.optimize.islands import (
    LARGEST,
    Computation,
    least,
    lost_in_float16,
    out_of_range,
    with_readers,
)


def chain(*moves: str) -> tuple[Computation, ...]:
    """image -> a -> b -> c -> d, each reading the one before; `moves` only move numbers."""
    names = ("image", "a", "b", "c", "d")
    return tuple(
        Computation(name=name, reads=(before,), makes=(name,), moves=name in moves)
        for before, name in pairwise(names)
    )


@pytest.mark.parametrize(
    ("largest", "found"),
    [
        ({}, ()),
        ({"a": 65504.0, "b": 1.0}, ()),
        ({"a": 65505.0}, ("a", "b")),
        ({"b": 1e6}, ("b", "c")),
        ({"image": 7e4}, ("a",)),
        ({"d": math.inf}, ("d",)),
        ({"c": math.nan}, ("c", "d")),
        ({"a": 2.0**-14}, ()),
        ({"a": 6e-5}, ("a", "b")),
        ({"a": 0.0}, ()),
        ({"a": 1e6, "b": 6e-5}, ("a", "b", "c")),
    ],
)
def test_makers_and_readers_of_what_float16_cannot_hold(
    largest: dict[str, float], found: tuple[str, ...]
) -> None:
    assert out_of_range(chain(), largest) == found


@pytest.mark.parametrize(
    ("moves", "layers", "found"),
    [
        ((), (), ()),
        ((), ("a",), ("a", "b")),
        (("b",), ("a",), ("a", "b", "c")),
        (("b", "c"), ("a",), ("a", "b", "c", "d")),
        (("c",), ("a",), ("a", "b")),
        ((), ("d",), ("d",)),
        ((), ("a", "c"), ("a", "b", "c", "d")),
    ],
)
def test_what_reads_a_wide_value_is_wide(
    moves: tuple[str, ...], layers: tuple[str, ...], found: tuple[str, ...]
) -> None:
    """A ReLU in float32 that hands on to float16 rounds what its maker had kept."""
    assert with_readers(chain(*moves), layers) == found


@pytest.mark.parametrize(
    ("scale", "lost"),
    [(1.0, False), (1e-3, False), (1e-7, True), (1e-9, True), (1e4, False), (1e7, True)],
)
def test_weights_that_float16_cannot_hold(scale: float, lost: bool) -> None:
    weights = np.random.default_rng(1).standard_normal(1000).astype(np.float32) * np.float32(scale)
    assert lost_in_float16(weights) is lost


def test_no_weights_and_zeros_are_not_lost() -> None:
    assert not lost_in_float16(np.zeros(4, np.float32))
    assert not lost_in_float16(np.zeros(0, np.float32))
    assert not lost_in_float16(np.ones(4, np.float16))
    assert lost_in_float16(np.array([LARGEST * 1.01], np.float32))


@pytest.mark.parametrize("needed", [1, 2, 7, 40, 64, 99, 100])
@pytest.mark.parametrize("guess", [0, 1, 30, 100, 500])
def test_the_least_count_is_found_from_any_guess(needed: int, guess: int) -> None:
    """To a sixteenth, never below, and without looking at every count."""
    looked: list[int] = []

    def reached(count: int) -> float:
        looked.append(count)
        return float(count)

    found = least(reached, needed, guess, 100)
    assert needed <= found <= max(needed + 1, needed * 17 / 16)
    assert len(looked) <= 22


def test_where_no_count_is_enough_all_are_taken() -> None:
    assert least(lambda _: 0.0, 55.0, 3, 20) == 20
