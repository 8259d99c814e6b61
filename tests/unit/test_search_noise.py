"""A build is refused by a contract that is better, not by one that is lucky."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.check import Verdict
from phoneproof.core.dataset import ImageSet
from phoneproof.core.tolerances import CONTRACT_GAIN
from phoneproof.pipeline.search.contract_check import search_check
from phoneproof.pipeline.search.outcome import confirmed
from phoneproof.pipeline.search.search import QUICK, Found
from phoneproof.pipeline.search.search_space import SearchSpace
from phoneproof.verify.search.compare import score_gain, shared_confidence
from phoneproof.verify.search.observe import Candidate, Observed
from tests.unit.inspections import classifier
from tests.unit.planted_search import BACKGROUND_FIRST, RIGHT, contract

SPACE = SearchSpace.of(contract(RIGHT, BACKGROUND_FIRST), classifier(5), frozenset({1, 2, 3, 4}))
GIVEN, FIRST, SECOND = SPACE.grid()[:3]
IMAGES = ImageSet(split="all", items=())
REPETITIONS = 800

Bools = NDArray[np.bool_]


class Told:
    """Observes what it was told."""

    def __init__(self, right: dict[Candidate, Bools]) -> None:
        self._right = right

    def observe(self, candidate: Candidate, images: Sequence[int]) -> Observed:
        right = self._right[candidate][list(images)]
        return Observed(likelihood=np.where(right, np.log(0.8), np.log(0.1)), right=right)


def verdict(right: dict[Candidate, Bools]) -> Verdict:
    """Of the check, where `right` has the images each candidate is right about."""
    rivals = [one for one in right if one != GIVEN]
    found = Found(best=rivals[0], first=rivals[-1], finalists=(), seen=())
    images = tuple(range(len(right[GIVEN])))
    result = confirmed(SPACE, Told(right), found, images, chance=0.25)
    return search_check(result, SPACE.contract, IMAGES, gating=True).verdict


def drawn(
    random: np.random.Generator, given: Bools, *, wins: float, loses: float
) -> NDArray[np.bool_]:
    """Another contract's answers: it wins and loses these shares of all images."""
    share = given.mean()
    chance = random.random(len(given))
    return np.where(given, chance >= loses / share, chance < wins / (1 - share))


@pytest.mark.parametrize("rivals", [(FIRST,), (FIRST, SECOND)], ids=["one", "two"])
@pytest.mark.parametrize("n", [100, QUICK.held_out])
def test_an_equally_good_alternative_refuses_one_build_in_a_hundred_at_most(
    rivals: tuple[Candidate, ...], n: int
) -> None:
    random = np.random.default_rng([n, len(rivals)])
    given = np.arange(n) % 4 > 0
    refused = 0
    for _ in range(REPETITIONS):
        others = {one: drawn(random, given, wins=0.1, loses=0.1) for one in rivals}
        refused += verdict({GIVEN: given, **others}) == "fail"
    assert refused <= REPETITIONS / 100


def test_the_uncorrected_bound_of_the_luckier_one_refuses_far_more() -> None:
    """The control: why the bounds are corrected and the gain has to be above a tolerance."""
    random = np.random.default_rng(2)
    given = np.arange(100) % 4 > 0
    lucky = 0
    for _ in range(REPETITIONS):
        tries = [drawn(random, given, wins=0.1, loses=0.1) for _ in range(2)]
        before = Observed(likelihood=np.zeros(100), right=given)
        gains = [score_gain(before, Observed(likelihood=np.zeros(100), right=r)) for r in tries]
        lucky += max(one.lower for one in gains) > 0
    assert lucky > REPETITIONS * 0.05


@pytest.mark.parametrize("rivals", [(FIRST,), (FIRST, SECOND)], ids=["one", "two"])
@pytest.mark.parametrize(("wins", "loses"), [(10, 0), (11, 1)])
def test_ten_points_on_a_hundred_images_refuse(
    rivals: tuple[Candidate, ...], wins: int, loses: int
) -> None:
    given = np.arange(100) >= 25
    better = given.copy()
    better[:wins] = True
    better[100 - loses :] = False
    assert verdict({GIVEN: given, **dict.fromkeys(rivals, better)}) == "fail"
    assert verdict({GIVEN: better, **dict.fromkeys(rivals, given)}) == "pass"


def test_a_gain_of_less_than_the_tolerance_is_proposed_and_refuses_nothing() -> None:
    given = np.arange(4000) >= 1000
    better = given.copy()
    better[:60] = True
    found = Found(best=FIRST, first=FIRST, finalists=(), seen=())
    told = Told({GIVEN: given, FIRST: better})
    result = confirmed(SPACE, told, found, tuple(range(4000)), chance=0.25)
    assert result.verdict == "better_found"
    assert result.gain is not None
    assert 0 < result.gain.lower < CONTRACT_GAIN
    check = search_check(result, SPACE.contract, IMAGES, gating=True)
    assert (check.verdict, check.limit) == ("pass", CONTRACT_GAIN)
    assert check.hint


def test_more_comparisons_demand_more_certainty() -> None:
    assert shared_confidence(1) == pytest.approx(0.975)
    assert shared_confidence(2) == pytest.approx(0.9875)
    assert shared_confidence(0) == shared_confidence(1)
