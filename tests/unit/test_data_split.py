"""Splits: disjoint, by content, and stable under adding images."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.core.errors import ConfigError
from phoneproof.data.split import Fractions, split_by_hash, without

FRACTIONS = Fractions(calibration=0.2, selection=0.3, confirmation=0.5)


def item(seed: int, name: str = "") -> ImageItem:
    sha256 = hashlib.sha256(seed.to_bytes(8)).hexdigest()
    return ImageItem(name=name or f"{seed}.png", path=Path(f"{seed}.png"), sha256=sha256)


def hashes(images: ImageSet) -> set[str]:
    return {i.sha256 for i in images.items}


@given(st.sets(st.integers(0, 10**6), max_size=60), st.sets(st.integers(0, 10**6), max_size=60))
def test_an_images_part_does_not_depend_on_the_others(some: set[int], more: set[int]) -> None:
    few = split_by_hash(tuple(item(seed) for seed in some), FRACTIONS)
    many = split_by_hash(tuple(item(seed) for seed in sorted(some | more)), FRACTIONS)
    for name in ("calibration", "selection", "confirmation"):
        assert hashes(getattr(few, name)) <= hashes(getattr(many, name))
    parts = [hashes(p) for p in (many.calibration, many.selection, many.confirmation)]
    assert len(set.union(*parts)) == sum(map(len, parts)) == len(some | more)


def test_shares_are_about_those_asked_for() -> None:
    items = tuple(item(seed) for seed in range(4000))
    splits = split_by_hash(items, Fractions(calibration=0.1, selection=0.3, confirmation=0.6))
    shares = [
        len(part.items) / 4000
        for part in (splits.calibration, splits.selection, splits.confirmation)
    ]
    # Four standard deviations of a share of 4000 draws are at most .032.
    assert shares == pytest.approx([0.1, 0.3, 0.6], abs=0.032)
    first = sorted(i.sha256 for i in items)[:200]
    assert 100 < len(set(first) & hashes(splits.confirmation)) < 140


def test_a_share_of_zero_is_empty_and_names_are_set() -> None:
    splits = split_by_hash(
        tuple(item(seed) for seed in range(50)),
        Fractions(calibration=0, selection=0.5, confirmation=0.5),
    )
    assert splits.calibration.items == ()
    assert [splits.calibration.split, splits.selection.split, splits.confirmation.split] == [
        "calibration",
        "selection",
        "confirmation",
    ]


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (-0.1, 0.6, 0.5)])
def test_shares_must_make_sense(shares: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match="add up to 1"):
        Fractions(calibration=shares[0], selection=shares[1], confirmation=shares[2])


def test_images_shared_between_folders_are_taken_out() -> None:
    calibration = ImageSet(split="calibration", items=(item(1, "x.png"), item(2)))
    evaluation = ImageSet(split="all", items=(item(1, "same.png"), item(3)))
    left = without(calibration, evaluation)
    assert left.items == (item(2),)
    assert left.skipped == (("x.png", "also in the all images as same.png"),)
