"""Which groups of channels go: those whose loss changes the outputs least for what it saves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from phoneproof.optimize.backends.channel_groups import Layer, Numbers
from phoneproof.optimize.backends.hub_channels import Channels

Mask = NDArray[np.bool_]

_FLOOR: Final = 0.15
"""Of a layer's channels, how many stay at least: a layer of one channel ends a network."""
_STAGES: Final = 6
"""How often importance is measured: what is gone changes what the rest is worth."""
_LOTS: Final = 24
"""How often the savings are computed anew in one stage."""


Measure = Literal["macs", "size"]
"""What a target is about: multiply-accumulates of one image, or numbers in the weights."""


def cost_of(channels: Channels, stays: Mask, measure: Measure) -> int:
    """What the layers with weights cost with the channels that stay; biases cost nothing."""
    return sum(
        _count(layer.rows, stays, layer.outputs)
        * _count(layer.columns, stays, layer.inputs)
        * _each(layer, measure)
        for layer in channels.layers
    )


def _each(layer: Layer, measure: Measure) -> int:
    return layer.each if measure == "macs" else layer.kernel


def _count(numbers: Numbers | None, stays: Mask, size: int) -> int:
    return size if numbers is None else int(stays[numbers].sum())


@dataclass(kw_only=True)
class Choice:
    """What stays while channels are taken out.

    importance: of each number's group (float64 [count], at its number), given what stays.
    target: the share (0..1) of the cost that may be left.
    """

    channels: Channels
    groups: Numbers
    measure: Measure
    target: float
    importance: Callable[[Mask], NDArray[np.float64]]
    stays: Mask = field(init=False)

    def __post_init__(self) -> None:
        self.stays = np.ones(self.channels.count, bool)
        self._prunable = self.channels.prunable()
        self._layers = [layer for layer in self.channels.layers if not layer.depthwise]

    def run(self) -> Mask:
        """Take out groups until the target is met, or nothing more may go."""
        full = cost_of(self.channels, self.stays, self.measure)
        for stage in range(1, _STAGES + 1):
            wanted = full * self.target ** (stage / _STAGES)
            worth = self.importance(self.stays)
            first = cost_of(self.channels, self.stays, self.measure)
            for lot in range(1, _LOTS + 1):
                self._take(worth, first + (wanted - first) * lot / _LOTS)
        return self.stays

    def _take(self, worth: NDArray[np.float64], wanted: float) -> None:
        """Groups in the order of worth for what they save, until `wanted` or fewer are left."""
        left = cost_of(self.channels, self.stays, self.measure)
        saved = self.savings()
        candidates = np.flatnonzero(self.stays & self._prunable & (saved > 0))
        candidates = candidates[self.groups[candidates] == candidates]
        order = candidates[np.argsort(worth[candidates] / saved[candidates], kind="stable")]
        room = self._room()
        for group in order.tolist():
            if left <= wanted:
                return
            if self._fits(group, room):
                self.stays[self.groups == group] = False
                left -= int(saved[group])

    def savings(self) -> NDArray[np.float64]:
        """The cost that goes with each group (at its number): float64 [count]."""
        saved = np.zeros(self.channels.count)
        for layer in self.channels.layers:
            rows = _count(layer.rows, self.stays, layer.outputs)
            columns = _count(layer.columns, self.stays, layer.inputs)
            for numbers, others in ((layer.rows, columns), (layer.columns, rows)):
                if numbers is not None:
                    kept = numbers[self.stays[numbers]]
                    np.add.at(saved, self.groups[kept], others * _each(layer, self.measure))
        return saved

    def _room(self) -> list[tuple[NDArray[np.int64], list[int]]]:
        """For each layer: how often each group is among its rows, and how many may still go."""
        room = []
        for layer in self._layers:
            if layer.rows is None:
                continue
            groups = self.groups[layer.rows]
            floor = max(1, int(np.ceil(_FLOOR * layer.outputs)))
            room.append((groups, [int(self.stays[layer.rows].sum()) - floor]))
        return room

    def _fits(self, group: int, room: list[tuple[NDArray[np.int64], list[int]]]) -> bool:
        touched = [(int((groups == group).sum()), left) for groups, left in room]
        touched = [(count, left) for count, left in touched if count]
        if any(count > left[0] for count, left in touched):
            return False
        for count, left in touched:
            left[0] -= count
        return True
