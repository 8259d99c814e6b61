"""Images divided into parts by the first bits of their hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from phoneproof.core.dataset import ImageItem
from phoneproof.pipeline.parts import hash_parts


def _items(count: int, first: int = 0) -> tuple[ImageItem, ...]:
    hashes = sorted(
        hashlib.sha256(str(n).encode()).hexdigest() for n in range(first, first + count)
    )
    return tuple(ImageItem(name=h[:6], path=Path(h[:6]), sha256=h) for h in hashes)


@given(st.integers(1, 300), st.sampled_from([1, 2, 8, 64]))
def test_every_image_is_in_one_part_and_the_order_stays(count: int, most: int) -> None:
    items = _items(count)
    parts = hash_parts(items, most)
    assert tuple(item for part in parts for item in part) == items
    assert all(parts)


def test_few_images_are_one_part() -> None:
    assert len(hash_parts(_items(64), 64)) == 1
    assert len(hash_parts(_items(65), 64)) == 2


def test_parts_hold_about_as_many_as_asked_for() -> None:
    parts = hash_parts(_items(1000), 64)
    assert len(parts) == 16
    assert max(map(len, parts)) < 2 * 64


def test_an_added_image_touches_one_part_alone() -> None:
    before, after = hash_parts(_items(1000), 64), hash_parts(_items(1001), 64)
    assert sum(part not in before for part in after) == 1
