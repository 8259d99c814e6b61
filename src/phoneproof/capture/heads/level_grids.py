"""Outputs with rows and columns, sorted into the levels of a pyramid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from phoneproof.capture.heads.facts import ModelFacts, OutputFacts
from phoneproof.capture.heads.grids import stride_of
from phoneproof.core.binding import Axis
from phoneproof.core.contract import Size


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """The outputs of one grid, in the order of the file. last: channels are the last axis."""

    stride: int
    grid: Size
    last: bool
    outputs: tuple[OutputFacts, ...]

    def channels(self, output: OutputFacts) -> int:
        """Values a cell."""
        return output.shape[3] if self.last else output.shape[1]

    def axes_of(
        self, output: OutputFacts, value: Literal["channel", "class", "coord"]
    ) -> tuple[Axis, ...] | None:
        """Axes after the batch; None where the leaves' widths are not those of the channels."""
        widths = output.widths
        if len(widths) > 1 and sum(width or 0 for width in widths) != self.channels(output):
            return None
        return ("y", "x", value) if self.last else (value, "y", "x")


def ordered_levels(facts: ModelFacts) -> tuple[Level, ...] | None:
    """Levels by rising stride; None where outputs are no grids of two or more usual strides."""
    if facts.size is None or len(facts.outputs) < 2:
        return None
    if facts.ultralytics_task not in ("", "detect"):
        return None
    for last in (False, True):
        levels = _levels(facts.outputs, facts.size, last)
        if levels is not None:
            return levels
    return None


def _levels(outputs: tuple[OutputFacts, ...], size: Size, last: bool) -> tuple[Level, ...] | None:
    grids: dict[Size, list[OutputFacts]] = {}
    for output in outputs:
        if len(output.shape) != 4 or min(output.shape) < 1:
            return None
        sides = output.shape[1:3] if last else output.shape[2:4]
        grids.setdefault((sides[0], sides[1]), []).append(output)
    strides = {grid: stride_of(grid, size) for grid in grids}
    known = {stride for stride in strides.values() if stride is not None}
    if len(known) != len(grids) or len(grids) < 2:
        return None
    levels = [
        Level(stride=strides[grid] or 0, grid=grid, last=last, outputs=tuple(of_grid))
        for grid, of_grid in grids.items()
    ]
    return tuple(sorted(levels, key=lambda level: level.stride))
