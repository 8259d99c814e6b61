"""Numbers for channels, which of them go together, and what a program says of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch.fx import Node

Numbers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """The channels of a tensor: their numbers along one axis."""

    axis: int
    numbers: Numbers


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """A constant that loses entries: those along `axis` whose channel goes."""

    constant: Node
    axis: int
    numbers: Numbers


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A convolution or matrix product with constant weights.

    rows, columns: the channels it makes and reads; null where they are not known and all stay.
    kernel: weights for one row and one column. positions: where they are used. reads: the tensor.
    """

    node: Node
    reads: Node
    rows: Numbers | None
    columns: Numbers | None
    outputs: int
    inputs: int
    kernel: int
    positions: int
    depthwise: bool = False

    @property
    def each(self) -> int:
        """Multiply-accumulates for one row and one column."""
        return self.kernel * self.positions


@dataclass(kw_only=True)
class Groups:
    """Numbers tied into groups (union-find); a group stays where one of its numbers has to."""

    _parent: list[int] = field(default_factory=list)
    _kept: set[int] = field(default_factory=set)

    @property
    def count(self) -> int:
        """How many numbers were given."""
        return len(self._parent)

    def new(self, count: int) -> Numbers:
        """Numbers that were not there before: int64 [count]."""
        first = len(self._parent)
        self._parent += range(first, first + count)
        return np.arange(first, first + count)

    def tie(self, first: Numbers, second: Numbers) -> None:
        """Each of the first with its counterpart: they go together."""
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            low, high = sorted((self._root(one), self._root(other)))
            self._parent[high] = low

    def keep(self, numbers: Numbers) -> None:
        """These have to stay."""
        self._kept.update(numbers.tolist())

    def least(self) -> Numbers:
        """The group of each number, by its least one: int64 [count]."""
        return np.array([self._root(one) for one in range(self.count)], np.int64)

    def free(self) -> NDArray[np.bool_]:
        """Whether a number's group may go: bool [count]."""
        kept = {self._root(one) for one in self._kept}
        return np.array([self._root(one) not in kept for one in range(self.count)], bool)

    def _root(self, one: int) -> int:
        while self._parent[one] != one:
            self._parent[one] = self._parent[self._parent[one]]
            one = self._parent[one]
        return one
