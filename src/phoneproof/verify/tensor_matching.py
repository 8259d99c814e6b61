"""Which tensor of one execution is which of another, judged by their values alone."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MIN_ELEMENTS: Final = 8
"""Smaller tensors, and constant ones, are equal by chance: they say nothing about layers."""

_ALL_PERMUTATIONS_RANK: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Traced:
    """One intermediate tensor. fingerprint: mean, standard deviation, least, largest value."""

    name: str
    value: NDArray[Any]
    fingerprint: tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Matching:
    """Tensors of both executions in order, and where hub tensors were found again.

    found: hub position -> positions of the artifact tensors equal to it, in order of execution.
    """

    hub: tuple[Traced, ...]
    artifact: tuple[Traced, ...]
    found: dict[int, tuple[int, ...]]

    @property
    def missing(self) -> tuple[int, ...]:
        """Positions of hub tensors without a counterpart."""
        return tuple(p for p in range(len(self.hub)) if p not in self.found)

    @property
    def last_found(self) -> int:
        """Position of the last hub tensor that was found again, -1 for none."""
        return max(self.found, default=-1)

    def left_over(self, position: int) -> tuple[Traced, ...]:
        """Artifact tensors of the same size that no hub tensor is equal to."""
        size = self.hub[position].value.size
        return tuple(
            self.artifact[p] for p in self._unclaimed if self.artifact[p].value.size == size
        )

    def rivals(self, position: int) -> tuple[Traced, ...]:
        """Left-over artifact tensors that could be this one by the order of execution.

        They lie between the counterparts of the hub's nearest found tensors before and behind.
        """
        before = [self.found[p][0] for p in self.found if p < position]
        behind = [self.found[p][-1] for p in self.found if p > position]
        low, high = max(before, default=-1), min(behind, default=len(self.artifact))
        size = self.hub[position].value.size
        return tuple(
            self.artifact[p]
            for p in self._unclaimed
            if low < p < high and self.artifact[p].value.size == size
        )

    @property
    def _unclaimed(self) -> tuple[int, ...]:
        claimed = {p for positions in self.found.values() for p in positions}
        return tuple(p for p in range(len(self.artifact)) if p not in claimed)


def match_traces(
    hub: Iterable[tuple[str, NDArray[Any]]],
    artifact: Iterable[tuple[str, NDArray[Any]]],
    tolerance: float,
) -> Matching:
    """Find each hub tensor again among the artifact's, up to a permutation of its axes.

    Args:
        tolerance: largest difference relative to the hub tensor's largest magnitude.
    """
    ours, theirs = tuple(_telling(hub)), tuple(_telling(artifact))
    by_size: dict[int, list[int]] = defaultdict(list)
    for position, traced in enumerate(theirs):
        by_size[traced.value.size].append(position)
    found: dict[int, tuple[int, ...]] = {}
    for position, traced in enumerate(ours):
        allowed = tolerance * _peak(traced)
        equal = tuple(
            p
            for p in by_size[traced.value.size]
            if _similar(traced, theirs[p], allowed)
            and relative_error(traced.value, theirs[p].value) <= tolerance
        )
        if equal:
            found[position] = equal
    return Matching(hub=ours, artifact=theirs, found=found)


def _telling(trace: Iterable[tuple[str, NDArray[Any]]]) -> Iterator[Traced]:
    """Tensors that are large and varied enough to be recognised."""
    for name, value in trace:
        if value.size < MIN_ELEMENTS:
            continue
        # Statistics in float64: a float32 mean of a million values is not exact enough.
        fingerprint = (
            float(value.mean(dtype=np.float64)),
            float(value.std(dtype=np.float64)),
            float(value.min()),
            float(value.max()),
        )
        if fingerprint[2] != fingerprint[3]:
            yield Traced(name=name, value=value, fingerprint=fingerprint)


def _peak(traced: Traced) -> float:
    return max(abs(traced.fingerprint[2]), abs(traced.fingerprint[3]))


def _similar(first: Traced, second: Traced, allowed: float) -> bool:
    """A cheap necessary condition: none of the four moves by more than the largest difference."""
    pairs = zip(first.fingerprint, second.fingerprint, strict=True)
    return all(abs(a - b) <= allowed * (1 + 1e-6) for a, b in pairs)


def relative_error(reference: NDArray[Any], other: NDArray[Any]) -> float:
    """Largest difference over the reference's largest magnitude, for the best order of axes.

    Infinite where the numbers of elements differ or a value is not finite.
    """
    if reference.size != other.size:
        return math.inf
    peak = float(np.abs(reference).max(initial=0.0)) or 1.0
    errors = (_difference(reference, view) / peak for view in _views(other, reference.shape))
    best = math.inf
    for error in errors:
        best = min(best, error)
        if best == 0.0:
            break
    return best


def _difference(first: NDArray[Any], second: NDArray[Any]) -> float:
    with np.errstate(invalid="ignore", over="ignore"):
        largest = float(np.abs(first - second).max(initial=0.0))
    return largest if math.isfinite(largest) else math.inf


def _views(value: NDArray[Any], shape: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    """`value` in every order of axes that has the wanted shape, and reshaped as it lies.

    Up to three axes longer than 1: all orders; beyond: channels moved to the end or the front.
    """
    yield value.reshape(shape)
    target = tuple(side for side in shape if side != 1)
    plain = value.reshape([side for side in value.shape if side != 1])
    rank = plain.ndim
    orders: Iterable[tuple[int, ...]] = itertools.permutations(range(rank))
    if rank > _ALL_PERMUTATIONS_RANK:
        orders = ((0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1)))
    for order in orders:
        if order != tuple(range(rank)) and tuple(plain.shape[a] for a in order) == target:
            yield plain.transpose(order).reshape(shape)
