"""Short distillation: the rounded network learns to give what the float network gives."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.events import Progress
from phoneproof.optimize.backends.learned_grids import LearnedGrids
from phoneproof.optimize.backends.learned_targets import Loss, Target
from phoneproof.runtimes.backends.tflite_torch.module import TfliteModule

Picture = NDArray[np.float32]

_SEED: Final = 5
_BATCH: Final = 2
_HELD_OUT: Final = 8
"""Every eighth image judges, the others teach."""
_EPOCHS: Final = 8
_SETTLED: Final = 8
"""Steps after which the pace is believed: the first ones are slower."""
_RATE_RANGES: Final = 0.0005
"""Of the range's first width, a step."""
_RATE_WEIGHTS: Final = 0.004
_RATE_BIASES: Final = 0.005
"""Of one step of the integer grid: only weights near the middle between two integers change sides.
With ten times these rates (0.02 .. 0.04) a detector of a hundred layers got worse, for each step
then turns the rounding of weights everywhere at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """How it went: the loss on held-out images before and after, steps made and planned."""

    before: float
    after: float
    steps: int
    planned: int


class Learner:
    """One student and its teacher on the same images.

    Args:
        network: the float network down to `targets`. grids: what stands between its operators.
        pictures: input tensors, float32 in the file's layout; at least two.

    Raises:
        OptimizationFailed: too few images, or the float network gives a number that is not finite.
    """

    def __init__(
        self,
        network: TfliteModule,
        grids: LearnedGrids,
        targets: tuple[Target, ...],
        pictures: Sequence[Picture],
    ) -> None:
        if len(pictures) < 2:
            raise OptimizationFailed(
                "learning needs at least two images",
                found=f"{len(pictures)}",
                next_step="add images to the calibration folder",
            )
        self._network, self._grids = network, grids
        self._pictures = [torch.from_numpy(np.ascontiguousarray(one)) for one in pictures]
        with torch.no_grad():
            self._wanted = tuple(network(picture) for picture in self._pictures)
        _require_finite(self._wanted)
        self._loss = Loss(targets, self._wanted)
        places = range(len(pictures))
        self._judging = [place for place in places if place % _HELD_OUT == _HELD_OUT - 1] or [0]
        self._teaching = [place for place in places if place not in self._judging]

    def run(self, seconds: float, progress: Progress) -> Learned:
        """Learn until the planned steps are made or the time is over; leaves the best state.

        Where the time is enough for all steps, the result does not depend on the clock.
        """
        batches = list(self._batches())
        pace = _Pace(seconds, len(batches))
        before = best = self.judged()
        kept = self._state()
        optimizer = torch.optim.Adam(self._groups(), betas=(0.9, 0.99))
        rates = [group["lr"] for group in optimizer.param_groups]
        each = max(len(self._teaching) // _BATCH, 1)
        done = 0
        for number, batch in enumerate(batches):
            planned = pace.planned(number)
            if number >= planned:
                break
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * (1 + math.cos(math.pi * number / planned)) / 2
            self._step(optimizer, batch)
            done = number + 1
            progress(done, planned)
            if done % each == 0 and (loss := self.judged()) < best:
                best, kept = loss, self._state()
        if done % each and (loss := self.judged()) < best:
            best, kept = loss, self._state()
        self._grids.load_state_dict(kept)
        return Learned(before=before, after=best, steps=done, planned=len(batches))

    def judged(self) -> float:
        """The mean loss on the images that do not teach."""
        with torch.no_grad():
            losses = [float(self._one(place)) for place in self._judging]
        return sum(losses) / len(losses)

    def _one(self, place: int) -> Tensor:
        found = self._network(self._pictures[place], self._grids)
        return self._loss(found, self._wanted[place])

    def _step(self, optimizer: torch.optim.Adam, batch: list[int]) -> None:
        optimizer.zero_grad(set_to_none=True)
        for place in batch:
            (self._one(place) / len(batch)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        self._grids.hold()

    def _batches(self) -> Iterator[list[int]]:
        order = np.random.default_rng(_SEED)
        for _ in range(_EPOCHS):
            places = [self._teaching[i] for i in order.permutation(len(self._teaching))]
            for start in range(0, len(places) - len(places) % _BATCH or 1, _BATCH):
                yield places[start : start + _BATCH]

    def _groups(self) -> list[dict[str, object]]:
        grids = self._grids
        groups = (
            (grids.ranges, _RATE_RANGES),
            (grids.weights, _RATE_WEIGHTS),
            (grids.biases, _RATE_BIASES),
        )
        found = [
            {"params": [one for one in part.parameters() if one.requires_grad], "lr": rate}
            for part, rate in groups
        ]
        return [group for group in found if group["params"]]

    def _state(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self._grids.state_dict().items()}


class _Pace:
    """How many steps the time is enough for: all of them, or fewer on a slow machine."""

    def __init__(self, seconds: float, steps: int) -> None:
        self._start = time.monotonic()
        self._seconds = seconds
        self._planned = steps

    def planned(self, done: int) -> int:
        """Steps in all, at the pace so far; never more than was said before."""
        gone = time.monotonic() - self._start
        if gone >= self._seconds:
            self._planned = done
        elif done >= _SETTLED:
            self._planned = min(self._planned, int(done * self._seconds / gone))
        return self._planned


def _require_finite(wanted: Sequence[Mapping[str, Tensor]]) -> None:
    for outputs in wanted:
        for name, values in outputs.items():
            if not bool(torch.isfinite(values).all()):
                raise OptimizationFailed(
                    f"the float32 network gives numbers that are not finite in {name!r}",
                    found="NaN or infinity",
                    next_step="look at the weights before that layer",
                )
