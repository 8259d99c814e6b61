"""Calibrating real networks: what is picked, what is found, and the pools that are refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from phoneproof.core.binding import Binding, InputBinding, OutputBinding
from phoneproof.core.contract import Contract, ImageInput, Resize
from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import InvalidInput
from phoneproof.core.events import silent
from phoneproof.data.load import load_images
from phoneproof.pipeline.calibrate_step import (
    CalibrateStep,
    calibration_hazards,
    calibration_of,
    ranges_of,
)
from phoneproof.runtimes.base import RUNTIMES
from tests.assets import asset
from tests.integration.int8_project import CIFAR

SIZE = (32, 32)
CONTRACT = Contract(
    name="cifar",
    task="classify",
    inputs=(
        ImageInput(
            geometry=(Resize(to="stretch", size=SIZE),),
            size=SIZE,
            scale=1.0,
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
        ),
    ),
    labels=CIFAR,
)


def images(folder: Path, split: str = "calibration") -> ImageSet:
    return load_images(
        folder,
        contract_labels=CONTRACT.labels,
        task="classify" if split == "calibration" else "raw",
        class_index=CONTRACT.class_index,
        split="calibration",
    )


def step(pool: ImageSet, *, limit: int = 100, judged_on: ImageSet | None = None) -> CalibrateStep:
    path = asset("models/classify/cifar10_resnet8_float.tflite")
    session = RUNTIMES.load("tflite").open(path)
    (image,), (scores,) = session.inputs, session.outputs
    binding = Binding(
        contract=CONTRACT.sha256,
        format="tflite",
        inputs=(InputBinding(tensor=image.name, shape=(1, *SIZE, 3), layout="NHWC"),),
        outputs=(OutputBinding(tensor=scores.name, role="scores", shape=(1, 10), axes=("class",)),),
    )
    return CalibrateStep(
        label="cifar",
        format="tflite",
        artifact=path,
        artifact_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        contract=CONTRACT,
        binding=binding,
        images=pool,
        limit=limit,
        judged_on=judged_on,
    )


def pictures(folder: Path, *, count: int, grey: bool = False, flat: bool = False) -> ImageSet:
    rng = np.random.default_rng(4)
    folder.mkdir()
    for number in range(count):
        pixels = rng.integers(0, 256, (40, 40, 1 if grey else 3), dtype=np.uint8)
        if flat:
            pixels = np.full_like(pixels, number * 2)
        Image.fromarray(np.broadcast_to(pixels, (40, 40, 3)).copy()).save(folder / f"{number}.png")
    return images(folder, split="plain")


def test_a_real_classifier(tmp_path: Path) -> None:
    pool = images(asset("images/cifar10_test500"))
    told: list[tuple[int, int]] = []
    asked = step(pool, limit=40)
    asked.run(tmp_path, lambda *at: told.append(at))

    report = calibration_of(tmp_path)
    assert (len(report.images), report.pool, report.classes) == (40, 500, (10, 10))
    assert {image.reason for image in report.images} == {"class", "extreme", "spread"}
    assert {image.sha256 for image in report.images} <= {item.sha256 for item in pool.items}
    assert told[-1] == (40, 40)
    assert report.stability is not None
    assert 0 < report.stability.spread <= report.stability.worst <= 1
    too_small = [h for h in calibration_hazards(tmp_path) if "too small" in h.found]
    assert bool(too_small) is not report.stability.enough

    ranges = ranges_of(tmp_path)
    assert ranges.artifact == asked.artifact_sha256
    by_method = {method.method: method.ranges for method in ranges.methods}
    image = next(r for r in by_method["min_max"] if r.tensor == asked.binding.image.tensor)
    assert (image.low, image.high) == (0.0, 255.0)
    widths = {name: np.array([r.high - r.low for r in rows]) for name, rows in by_method.items()}
    assert (widths["percentile_99_99"] <= widths["percentile_99_999"] + 1e-9).all()
    assert (widths["percentile_99_999"] <= widths["min_max"] + 1e-9).all()
    assert widths["mse"].mean() < widths["min_max"].mean()


def test_the_same_unlabelled_pool_gives_the_same_bytes(tmp_path: Path) -> None:
    pool = images(asset("images/cifar10_test500"))
    unlabelled = tuple(msgspec.structs.replace(item, label=None) for item in pool.items[:60])
    pool = msgspec.structs.replace(pool, items=unlabelled)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        step(pool, limit=20).run(tmp_path / folder, silent)
    for name in ("ranges.json", "calibration.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    # What the model sees in them stands in for labels.
    classes = calibration_of(tmp_path / "a").classes
    assert classes is not None
    assert classes[0] > 5


def test_flat_pictures_are_refused(tmp_path: Path) -> None:
    pool = pictures(tmp_path / "flat", count=60, flat=True, grey=True)
    with pytest.raises(InvalidInput, match="blank or the same picture") as caught:
        step(pool).run(tmp_path, silent)
    assert "60 of 60" in caught.value.found
    assert not (tmp_path / "ranges.json").exists()


def test_grey_pictures_are_refused_for_a_model_judged_on_colour(tmp_path: Path) -> None:
    grey = pictures(tmp_path / "grey", count=20, grey=True)
    colour = images(asset("images/cifar10_test500"))
    with pytest.raises(InvalidInput, match="calibration images are grey"):
        step(grey, judged_on=colour).run(tmp_path, silent)
    step(grey, judged_on=grey).run(tmp_path, silent)
    assert len(calibration_of(tmp_path).images) == 20


def test_too_few_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="too few calibration images"):
        step(pictures(tmp_path / "few", count=7)).run(tmp_path, silent)


def test_a_picture_that_vanished_is_named(tmp_path: Path) -> None:
    pool = pictures(tmp_path / "gone", count=12)
    pool.items[5].path.unlink()
    with pytest.raises(InvalidInput, match=f"calibration image {pool.items[5].name} cannot"):
        step(pool).run(tmp_path, silent)
