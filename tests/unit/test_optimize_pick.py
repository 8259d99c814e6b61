"""Picking calibration images: classes, extremes, spread; and the pools that are refused."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from itertools import pairwise

import pytest

from phoneproof.core.errors import InvalidInput
from phoneproof.optimize.pick import LEAST, Candidate, pick, require_colour


def candidate(number: int, *labels: int, peak: float = 0.0) -> Candidate:
    digest = hashlib.sha256(number.to_bytes(8)).hexdigest()
    return Candidate(
        name=f"{number}.jpg",
        sha256=digest,
        pixels=digest,
        brightness=(number * 37 % 101) / 101,
        contrast=0.2,
        saturation=0.3,
        extremes=(peak,),
        labels=frozenset(labels),
    )


def names(pool: list[Candidate], limit: int) -> dict[str, str]:
    return {image.name: image.reason for image in pick(pool, limit).images}


def test_every_class_is_covered_however_rare() -> None:
    pool = [candidate(n, 0) for n in range(300)]
    pool += [candidate(300 + n, 1 + n) for n in range(9)]
    picked = pick(pool, 20)
    assert picked.covered == frozenset(range(10))
    assert len(picked.images) == 20
    # Controls: a spread alone misses rare classes, and hashes alone do too.
    assert sum(image.reason == "class" for image in picked.images) == 10
    first = sorted(pool, key=lambda one: one.sha256)[:20]
    assert frozenset().union(*(one.labels for one in first)) != picked.covered


def test_one_image_of_many_classes_stands_for_them() -> None:
    pool = [candidate(n, n % 5) for n in range(50)] + [candidate(99, 0, 1, 2, 3, 4)]
    reasons = names(pool, 10)
    assert reasons["99.jpg"] == "class"
    assert list(reasons.values()).count("class") == 1


def test_more_classes_than_places_leave_room_for_the_rest() -> None:
    pool = [candidate(n, n) for n in range(400)]
    counted = list(names(pool, 100).values())
    assert (counted.count("class"), counted.count("extreme")) == (70, 15)
    assert counted.count("spread") == 15


def test_extremes_are_the_largest_of_each_figure() -> None:
    pool = [candidate(n) for n in range(200)]
    pool[17] = replace(pool[17], extremes=(9.0, 0.0))
    pool[18] = replace(pool[18], extremes=(0.0, 9.0))
    pool = [replace(one, extremes=(*one.extremes, 0.0)[:2]) for one in pool]
    reasons = names(pool, 20)
    assert reasons["17.jpg"] == reasons["18.jpg"] == "extreme"


def test_the_spread_has_dark_and_bright_images() -> None:
    pool = [candidate(n) for n in range(1000)]
    chosen = {image.name for image in pick(pool, 20).images if image.reason == "spread"}
    values = sorted(one.brightness for one in pool if one.name in chosen)
    gaps = [after - before for before, after in pairwise(values)]
    assert max(gaps) < 0.1


def test_the_order_of_the_pool_does_not_matter() -> None:
    pool = [candidate(n, n % 30, peak=n % 7) for n in range(300)]
    shuffled = random.Random(1).sample(pool, len(pool))
    assert pick(pool, 50) == pick(shuffled, 50)


def test_a_small_pool_is_taken_whole() -> None:
    pool = [candidate(n, n % 3) for n in range(LEAST)]
    assert len(pick(pool, 100).images) == LEAST


def test_too_few_are_refused() -> None:
    with pytest.raises(InvalidInput, match="too few calibration images") as caught:
        pick([candidate(n) for n in range(LEAST - 1)], 100)
    assert "7 of 7" in caught.value.found
    assert "[data] calibration" in caught.value.next_step
    with pytest.raises(InvalidInput, match="too few"):
        pick([], 100)


def test_blank_and_identical_images_are_left_out_and_named() -> None:
    pool = [candidate(n) for n in range(30)]
    pool[3] = replace(pool[3], contrast=0.0)
    pool[4] = replace(pool[4], pixels=pool[5].pixels)
    picked = pick(pool, 100)
    assert len(picked.images) == 28
    reasons = dict(picked.left_out)
    assert reasons["3.jpg"] == "blank: all its pixels are equal"
    assert [why for why in reasons.values() if why.startswith("the same pixels as ")]


def test_a_blank_pool_is_refused() -> None:
    pool = [replace(candidate(n), contrast=0.001) for n in range(100)]
    with pytest.raises(InvalidInput, match="blank or the same picture") as caught:
        pick(pool, 100)
    assert "100 of 100" in caught.value.found


def test_a_mostly_blank_pool_is_refused_though_enough_are_left() -> None:
    pool = [candidate(n) for n in range(100)]
    blank = [replace(one, contrast=0.0) if n < 60 else one for n, one in enumerate(pool)]
    with pytest.raises(InvalidInput, match="blank or the same picture"):
        pick(blank, 100)


def test_one_picture_many_times_is_refused() -> None:
    pool = [replace(candidate(n), pixels="same") for n in range(50)]
    with pytest.raises(InvalidInput, match="the same picture"):
        pick(pool, 100)


def test_a_grey_pool_is_refused_only_where_the_others_have_colour() -> None:
    coloured = [candidate(n) for n in range(20)]
    grey = [replace(one, saturation=0.0) for one in coloured]
    with pytest.raises(InvalidInput, match="calibration images are grey"):
        require_colour(grey, [0.3] * 10)
    require_colour(grey, [0.0] * 10)
    require_colour(coloured, [0.3] * 10)
    require_colour(coloured, [0.0] * 10)
    require_colour(grey, [])
