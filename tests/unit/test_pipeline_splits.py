"""How images are divided for quantization."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.core.errors import InvalidInput
from phoneproof.pipeline.splits import MOST_TO_SELECT, divided, split_hazards


def images(count: int) -> ImageSet:
    names = [f"{number}.png" for number in range(count)]
    items = [
        ImageItem(name=name, path=Path(name), sha256=hashlib.sha256(name.encode()).hexdigest())
        for name in names
    ]
    return ImageSet(split="all", items=tuple(sorted(items, key=lambda item: item.sha256)))


def test_many_images_are_calibrated_selected_and_confirmed_apart() -> None:
    left, splits = divided(images(2000), None)
    parts = [splits.calibration.items, splits.selection.items, splits.confirmation.items]
    assert len(left.items) == 2000
    assert sum(map(len, parts)) == len({item.sha256 for part in parts for item in part}) == 2000
    assert all(len(part) > 200 for part in parts)
    assert splits.confirmed_apart
    assert splits.judged_again
    assert split_hazards(splits) == ()


def test_selection_is_capped() -> None:
    _, splits = divided(images(3000), None)
    assert len(splits.selection.items) == MOST_TO_SELECT
    assert len(splits.confirmation.items) > 1000


def test_few_images_select_and_show_alike_and_say_so() -> None:
    _, splits = divided(images(128), None)
    assert splits.confirmation.ref == splits.selection.ref
    assert not splits.judged_again
    assert not splits.calibration_judges
    assert len(splits.calibration.items) + len(splits.selection.items) == 128
    (said,) = split_hazards(splits)
    assert "selected on these images" in said.name
    assert "calibrated" not in said.found


def test_very_few_images_do_everything_and_say_so() -> None:
    _, splits = divided(images(12), None)
    assert splits.calibration is splits.selection
    assert splits.calibration_judges
    assert "and calibrated" in split_hazards(splits)[0].found


def picture(path: Path, shade: int) -> None:
    Image.new("RGB", (8, 8), (shade, 20, 30)).save(path)


def test_a_folder_of_its_own_never_evaluates(tmp_path: Path) -> None:
    for shade in range(4):
        picture(tmp_path / f"{shade}.png", shade)
    shared = ImageItem(
        name="same.png",
        path=tmp_path / "0.png",
        sha256=hashlib.sha256((tmp_path / "0.png").read_bytes()).hexdigest(),
    )
    evaluation = ImageSet(split="all", items=(shared, *images(300).items))
    left, splits = divided(evaluation, tmp_path)
    assert len(splits.calibration.items) == 4
    assert shared not in left.items
    assert left.skipped[0][0] == "same.png"
    assert len(splits.selection.items) == len(splits.confirmation.items) == 300


def test_all_that_does_not_calibrate_is_shown_where_there_is_too_little_to_confirm() -> None:
    _, splits = divided(images(1200), None)
    assert len(splits.selection.items) == MOST_TO_SELECT
    assert len(splits.confirmation.items) + len(splits.calibration.items) == 1200
    assert splits.confirmation.split == "selection"
    assert splits.judged_again
    assert not splits.confirmed_apart
    assert split_hazards(splits)


def test_without_ranges_no_image_calibrates() -> None:
    _, splits = divided(images(128), None, calibrates=False)
    assert not splits.calibration.items
    assert len(splits.confirmation.items) == 128


def test_only_calibration_images_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "0.png", 0)
    shared = ImageItem(
        name="same.png",
        path=tmp_path / "0.png",
        sha256=hashlib.sha256((tmp_path / "0.png").read_bytes()).hexdigest(),
    )
    with pytest.raises(InvalidInput, match="every evaluation image"):
        divided(ImageSet(split="all", items=(shared,)), tmp_path)


def test_a_folder_without_pictures_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"\[data\] calibration"):
        divided(images(50), tmp_path)
