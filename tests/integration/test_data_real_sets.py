"""The real image sets: every layout at its real size."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from phoneproof.core.errors import ConfigError
from phoneproof.data.files import list_images
from phoneproof.data.layout import class_names
from phoneproof.data.split import Fractions, split_by_hash
from tests.assets import asset
from tests.unit.data_sets import load

WEATHER = ("cloudy", "rain", "shine", "sunrise")


def imagenet_labels() -> tuple[str | None, ...]:
    """1001 labels, of which 0 is background."""
    lines = asset("models/classify/imagenet_labels.txt").read_text().splitlines()
    return (None, *lines[1:])


def test_coco128_boxes_by_yolo_txt() -> None:
    folder = asset("images/coco128_train")
    names = class_names(folder, list_images(folder))
    assert len(names) == 80

    images = load(folder, names, "detect")

    assert len(images.items) == 128
    assert images.labelled
    assert images.skipped == ()
    boxes = [box for item in images.items for box in item.boxes or ()]
    # Two texts have no picture here, and two pictures no text: they show nothing of the 80.
    stems = {Path(item.name).stem for item in images.items}
    texts = [text for text in (folder / "labels").glob("*.txt") if text.stem in stems]
    lines = [line for text in texts for line in text.read_text().splitlines()]
    assert sum(item.boxes == () for item in images.items) == 128 - len(texts) == 2
    assert len(boxes) == len(lines)
    used = {names[box.label] for box in boxes}
    assert used == {names[int(line.split()[0])] for line in lines}


def test_coco128_with_labels_that_lack_classes() -> None:
    folder = asset("images/coco128_train")
    names = class_names(folder, list_images(folder))
    changed = tuple("persons" if name == "person" else name for name in names)
    with pytest.raises(ConfigError, match=r"'person' \(nearest: 'persons'\)"):
        load(folder, changed, "detect")


def test_weather_folders() -> None:
    images = load(asset("images/weather_val"), WEATHER)
    # One picture is there twice under two names.
    assert len(images.items) + len(images.skipped) == 265
    for item in images.items:
        assert item.label == WEATHER.index(item.name.split("/")[0])


def test_imagenet_csv_numbers_skip_the_background() -> None:
    folder = asset("images/imagenet_sample350")
    labels = imagenet_labels()
    images = load(folder, labels)
    assert len(images.items) == 350
    with (folder / "labels.csv").open(newline="") as stream:
        rows = {row["file"]: row for row in csv.DictReader(stream)}
    for item in images.items:
        assert item.label == int(rows[item.name]["label"]) + 1
    agreeing = sum(
        rows[item.name]["name"].replace("_", " ").lower() in (labels[item.label or 0] or "").lower()
        for item in images.items
    )
    # The csv's own names spell some classes otherwise; a shift by one would leave almost none.
    assert agreeing > 300


def test_cifar_folders_in_sorted_order() -> None:
    folder = asset("images/cifar10_test500")
    names = class_names(folder, list_images(folder))
    assert names[:3] == ("airplane", "automobile", "bird")
    images = load(folder, names)
    assert len(images.items) == 500
    shares = Fractions(calibration=0.2, selection=0.3, confirmation=0.5)
    splits = split_by_hash(images.items, shares)
    sizes = [len(p.items) for p in (splits.calibration, splits.selection, splits.confirmation)]
    assert sum(sizes) == 500
    assert min(sizes) > 50


def test_every_single_picture_is_readable() -> None:
    folder: Path = asset("images/single")
    assert load(folder, task="raw").skipped == ()
