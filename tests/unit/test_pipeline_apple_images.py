"""Core AI is run on few images, other formats on all."""

from __future__ import annotations

from pathlib import Path

import pytest

from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.pipeline.apple_images import FEWEST, run_on

IMAGES = ImageSet(
    split="all",
    items=tuple(
        ImageItem(name=f"{number}.png", path=Path(f"{number}.png"), sha256=f"{number:064x}")
        for number in range(100)
    ),
)


@pytest.mark.parametrize(
    ("size", "count"),
    [((640, 640), FEWEST), ((1280, 1280), FEWEST), ((320, 320), 32), ((224, 224), 65)],
)
def test_as_many_images_as_pixels_allow(size: tuple[int, int], count: int) -> None:
    found = run_on("coreai", IMAGES, size)
    assert found.items == IMAGES.items[:count]
    assert found.ref != IMAGES.ref


def test_other_formats_and_few_images_stay_as_they_are() -> None:
    assert run_on("coreml", IMAGES, (640, 640)) is IMAGES
    assert run_on("coreai", IMAGES, (32, 32)) is IMAGES
