"""The search: successive halving over the alternatives, then one look at images kept back.

Channels, values and label order interact (a wrong scale hides a wrong channel order), so they
are crossed first; geometry is tried with the best few of them, filters and small variations with
the best of those. Each round sees more images and keeps fewer candidates (K. Jamieson, A.
Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS
2016). What is said of the winner is measured on images that no choice was made on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from phoneproof.core.dataset import ImageItem
from phoneproof.core.search import SearchStage
from phoneproof.pipeline.search.geometry_table import with_filter
from phoneproof.pipeline.search.search_space import (
    SearchSpace,
    distinct,
    is_conventional,
    preset_of,
)
from phoneproof.verify.search.compare import is_better, likelihood_gain, score_gain
from phoneproof.verify.search.observe import Candidate, Observed

_SALT: Final = b"phoneproof.search/1\0"

FEWEST_IMAGES: Final = 20
"""About half of them are held out, and with ten pairs a difference of 40 points is just seen."""

FEWEST_HELD_OUT: Final = 7
"""Of 20 images the draw leaves fewer than this to one side once in nine times. With seven pairs an
alternative has to win four to be seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """Numbers of images. first .. search: of the rounds; held_out: for the confirmation.

    details: whether filters and small variations are tried.
    """

    first: int = 12
    grid: int = 24
    geometry: int = 48
    search: int = 96
    held_out: int = 256
    details: bool = True


FULL: Final = Budget()
QUICK: Final = Budget(first=8, grid=16, geometry=32, search=64, held_out=128, details=False)
"""Of a build, which only wants to know whether something is much better."""


NEARLY_EQUAL: Final = 0.02
"""A likelier alternative may seem to cost this much of the score, where that is not sure: what
differs by more is taken as measured."""


class Observes(Protocol):
    """What the search needs of `Observer`."""

    def observe(self, candidate: Candidate, images: Sequence[int]) -> Observed:
        """What the candidate says of the images at these positions."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A candidate and the most images it was searched on."""

    candidate: Candidate
    stage: SearchStage
    images: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What the rounds found, before the held-out images.

    best: the candidate to confirm; the given one where nothing else came as far. first: the one
    with the largest likelihood. finalists: runners-up, which are measured on the held-out images
    too, to say what is as good. seen: all that was tried.
    """

    best: Candidate
    first: Candidate
    finalists: tuple[Candidate, ...]
    seen: tuple[Seen, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Divided:
    """Positions of images: to search on, and to confirm on."""

    search: tuple[int, ...]
    held_out: tuple[int, ...]


def divide(items: Sequence[ImageItem], budget: Budget) -> Divided:
    """Images to search on and images to confirm on, in an order that only their contents decide.

    To which side an image belongs depends on nothing but its content: what one search chose on is
    never what another one, of any budget or among more images, confirms on.
    """
    keys = {
        i: hashlib.sha256(_SALT + item.sha256.encode()).digest() for i, item in enumerate(items)
    }
    # The order is decided by the first bytes, the side by the last bit.
    order = sorted(keys, key=keys.__getitem__)
    sides: tuple[list[int], list[int]] = ([], [])
    for i in order:
        sides[keys[i][-1] & 1].append(i)
    return Divided(
        search=tuple(sides[0][: budget.search]), held_out=tuple(sides[1][: budget.held_out])
    )


def search(space: SearchSpace, observer: Observes, images: Sequence[int], budget: Budget) -> Found:
    """Go through the rounds on `images` (positions)."""
    rounds = _Rounds(space=space, observer=observer, images=images)
    first, grid, geometry, full = budget.first, budget.grid, budget.geometry, budget.search
    kept = rounds.halve("values", space.grid(), ((first, 6), (grid, 3)))
    placed = [*space.with_geometries(kept), *space.presets(kept[0])]
    fitted = rounds.halve("geometry", distinct(placed), ((first, 10), (grid, 5), (geometry, 3)))
    detailed: list[Candidate] = []
    if budget.details:
        around = space.details(fitted[0])
        detailed = rounds.halve("details", around, ((grid, 6), (geometry, 3)))
    # The runners-up of the geometry come along, and what the file implies: the last word on them
    # has the larger number of images.
    implied = [one for one in space.presets(fitted[0]) if space.is_implied(one)]
    last = [*detailed, *fitted, *implied]
    kept = rounds.halve("details", distinct(last), ((full, len(last)),))
    best = rounds.preferred(kept, full)
    finalists = runners_up([one for one in kept if one != space.given], best)
    return Found(best=best, first=kept[0], finalists=finalists, seen=tuple(rounds.seen.values()))


def runners_up(ranked: Sequence[Candidate], best: Candidate) -> tuple[Candidate, ...]:
    """The best one with another geometry, and the best one with the same: two questions."""
    shape = _shape(best)
    others = [one for one in ranked if one != best]
    fitted = [one for one in others if _shape(one) != shape][:1]
    return (*fitted, *[one for one in others if _shape(one) == shape][:1])


def _shape(candidate: Candidate) -> object:
    return with_filter(candidate.image, "pillow.bilinear").geometry


class _Rounds:
    def __init__(self, *, space: SearchSpace, observer: Observes, images: Sequence[int]) -> None:
        self._space = space
        self._observer = observer
        self._images = images
        self.seen: dict[Candidate, Seen] = {}

    def halve(
        self,
        stage: SearchStage,
        candidates: Sequence[Candidate],
        rungs: Sequence[tuple[int, int]],
    ) -> list[Candidate]:
        """Best first, after rounds of (images, candidates kept); equal ones in the given order."""
        left = [*candidates]
        for count, kept in rungs:
            images = tuple(self._images[:count])
            mean: dict[Candidate, float] = {}
            for candidate in left:
                observed = self._observer.observe(candidate, images)
                mean[candidate] = float(observed.likelihood.mean())
                self._note(candidate, stage, images)
            left = sorted(left, key=lambda one: -mean[one])[:kept]
        return left

    def preferred(self, kept: Sequence[Candidate], count: int) -> Candidate:
        """The best one, or of those that are not told apart from it the likeliest beforehand.

        That is what the file implies, then a framework's preset, then what a framework does to
        the picture: likelier than a mixture that is as good by chance. Of equally likely ones
        the one that changes least. The given one is not preferred here: whether another is
        better is what the held-out images are for.
        """
        best = kept[0]
        images = tuple(self._images[:count])
        self._note(self._space.given, "values", images)
        equal = [one for one in kept if self._may_replace(one, best, images)]
        return min(equal, key=self._unlikeliness)

    def _may_replace(self, one: Candidate, best: Candidate, images: tuple[int, ...]) -> bool:
        if one == best:
            return True
        if best == self._space.given:
            return False
        before = self._observer.observe(one, images)
        after = self._observer.observe(best, images)
        gain = score_gain(before, after)
        if is_better(likelihood_gain(before, after), gain):
            return False
        return self._space.is_implied(one) or gain.value <= NEARLY_EQUAL

    def _unlikeliness(self, candidate: Candidate) -> tuple[bool, bool, bool, int]:
        return (
            not self._space.is_implied(candidate),
            not preset_of(candidate.image),
            not is_conventional(candidate.image),
            len(self._space.differs(candidate)),
        )

    def _note(self, candidate: Candidate, stage: SearchStage, images: tuple[int, ...]) -> None:
        known = self.seen.get(candidate)
        if known is None or len(known.images) <= len(images):
            first = stage if known is None else known.stage
            self.seen[candidate] = Seen(candidate=candidate, stage=first, images=images)
