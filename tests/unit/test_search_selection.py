"""The search finds what is planted, and finds nothing where there is nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from phoneproof.core.dataset import ImageItem
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.core.search import ContractSearch
from phoneproof.pipeline.search.outcome import too_few
from phoneproof.pipeline.search.search import FULL, QUICK, Budget, divide
from tests.unit.planted_search import (
    BACKGROUND_FIRST,
    RIGHT,
    WRONG,
    contract,
    pictures,
    searched,
)

UNSHIFTED = tuple(f"class {k}" for k in range(5))


def test_the_planted_contract_is_found_from_a_wrong_one(tmp_path: Path) -> None:
    found = searched(contract(WRONG, UNSHIFTED), pictures(tmp_path, 100))
    assert found.verdict == "better_found"
    assert found.proposal is not None
    assert found.current is not None
    assert found.proposed is not None
    image = found.proposal.image
    assert (image.channels, image.scale, image.mean) == ("rgb", 1 / 127.5, (1.0, 1.0, 1.0))
    assert found.proposal.labels == BACKGROUND_FIRST
    assert any("centre" in part or "central" in part for part in found.differs)
    assert found.gain is not None
    assert found.gain.lower > 0.3
    assert found.proposed.score.lower > found.current.score.upper


def test_a_right_contract_is_confirmed(tmp_path: Path) -> None:
    items = tuple(
        msgspec.structs.replace(item, label=(item.label or 0) + 1)
        for item in pictures(tmp_path, 100)
    )
    found = searched(contract(RIGHT, BACKGROUND_FIRST), items)
    assert (found.verdict, found.proposal) == ("confirmed", None)
    assert found.current is not None
    assert found.current.score.value > 0.7


@pytest.mark.parametrize("seed", range(6))
def test_random_labels_propose_nothing(tmp_path: Path, seed: int) -> None:
    items = pictures(tmp_path, 80, seed=seed, shuffled=True)
    found = searched(contract(WRONG, UNSHIFTED), items)
    assert found.verdict != "better_found"
    assert found.proposal is None
    assert found.proposed is None


def test_few_images_decide_nothing(tmp_path: Path) -> None:
    found = searched(contract(WRONG, UNSHIFTED), pictures(tmp_path, 19))
    assert found.verdict == "inconclusive"
    assert "19 labelled images" in found.reason


def test_the_same_images_in_another_order_give_the_same_result(tmp_path: Path) -> None:
    items = pictures(tmp_path, 60)
    first = searched(contract(WRONG, UNSHIFTED), items)
    second = searched(contract(WRONG, UNSHIFTED), tuple(reversed(items)))
    assert first == second
    assert parse(pretty_bytes(first), ContractSearch, what="search") == first


def hashed(count: int) -> tuple[ImageItem, ...]:
    """Items that have a content hash and no picture."""
    names = [f"{number}.png" for number in range(count)]
    return tuple(
        ImageItem(name=name, path=Path(name), sha256=hashlib.sha256(name.encode()).hexdigest())
        for name in names
    )


def test_no_budget_confirms_on_what_another_one_chose_on() -> None:
    items = hashed(600)
    full, quick = divide(items, FULL), divide(items, QUICK)
    small = divide(items, Budget(search=30, held_out=10))
    assert [len(one.search) for one in (full, quick, small)] == [96, 64, 30]
    assert [len(one.held_out) for one in (full, quick, small)] == [256, 128, 10]
    chosen_on = {i for one in (full, quick, small) for i in one.search}
    confirmed_on = {i for one in (full, quick, small) for i in one.held_out}
    assert not chosen_on & confirmed_on


def test_an_image_stays_on_its_side_when_others_come_or_go() -> None:
    everything = Budget(search=10_000, held_out=10_000)
    items = hashed(600)
    whole = divide(items, everything)
    assert len(whole.search) + len(whole.held_out) == 600
    assert 250 < len(whole.search) < 350
    searched_on = {items[i].sha256 for i in whole.search}
    for part in (items[::3], items[100:]):
        divided = divide(part, everything)
        assert {part[i].sha256 for i in divided.search} <= searched_on
        assert not {part[i].sha256 for i in divided.held_out} & searched_on


def test_a_lopsided_division_decides_nothing() -> None:
    items = hashed(600)
    whole = divide(items, Budget(search=600, held_out=600))
    lopsided = tuple(items[i] for i in (*whole.search[:30], *whole.held_out[:6]))
    found = too_few("classify", lopsided)
    assert found is not None
    assert (found.verdict, found.current) == ("inconclusive", None)
    assert "30 fell to the search and 6 to its confirmation" in found.reason
    enough = tuple(items[i] for i in (*whole.search[:30], *whole.held_out[:7]))
    assert too_few("classify", enough) is None


def test_every_alternative_that_was_tried_is_listed(tmp_path: Path) -> None:
    found = searched(contract(WRONG, UNSHIFTED), pictures(tmp_path, 60))
    own = [row for row in found.tried if not row.differs]
    assert len(own) == 1
    assert own[0].gain.value == 0
    assert len({row.differs for row in found.tried}) == len(found.tried)
    assert {row.stage for row in found.tried} == {"values", "geometry", "details"}
