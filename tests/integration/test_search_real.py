"""From a wrong contract the search finds how each real model is fed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch

from phoneproof.capture.infer import infer_contract
from phoneproof.core.contract import Contract, ImageInput, Resize
from phoneproof.core.dataset import ImageSet
from phoneproof.core.events import silent
from phoneproof.core.json_format import parse
from phoneproof.core.search import ContractSearch
from phoneproof.data.load import load_images
from phoneproof.pipeline.prepare import locate
from phoneproof.pipeline.search.search import Budget
from phoneproof.pipeline.search.search_step import SEARCH, SearchStep
from tests.assets import asset

SHORT = Budget(first=8, grid=10, geometry=20, search=44, held_out=48, details=False)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of torch wait for each other for seconds where other tests use the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def wrong_image(image: ImageInput) -> ImageInput:
    """Stretched, 0..1, and the other channel order."""
    return ImageInput(
        channels="bgr" if image.channels == "rgb" else "rgb",
        geometry=(Resize(to="stretch", size=image.size, filter="pillow.bilinear"),),
        size=image.size,
        scale=1 / 255,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )


def wrong_labels(labels: tuple[str | None, ...]) -> tuple[str | None, ...]:
    """Background where there is none, and none where there is."""
    if not labels or (labels[0] is not None and labels[0] != "class 0"):
        return labels
    if labels[0] is None:
        return tuple(f"class {k}" for k in range(len(labels)))
    return (None, *labels[:-1])


def search_from_wrong(
    folder: Path, model: str, images: str, *, most: int
) -> tuple[Contract, ContractSearch]:
    """(the wrong contract, what was found); `most`: images that are looked at at all."""
    source = locate(asset(f"models/{model}"))
    inspection = source.reader().inspect(source.path)
    right = infer_contract(inspection, name="x").contract
    labels = wrong_labels(right.labels) if right.task == "classify" else right.labels
    given = msgspec.structs.replace(right, inputs=(wrong_image(right.image),), labels=labels)
    everything = load_images(
        asset(f"images/{images}"),
        contract_labels=given.labels,
        task=given.task,
        class_index=given.class_index,
    )
    step = SearchStep(
        source=source,
        inspection=inspection,
        contract=given,
        images=ImageSet(split="all", items=everything.items[:most]),
        budget=SHORT,
    )
    step.run(folder, silent)
    return given, parse((folder / SEARCH).read_bytes(), ContractSearch, what="search")


def values_at_ends(image: ImageInput) -> list[tuple[float, float]]:
    return [
        (round(-m / s, 3), round((255 * image.scale - m) / s, 3))
        for m, s in zip(image.mean, image.std, strict=True)
    ]


@pytest.mark.parametrize(
    ("model", "first_label"),
    [
        ("classify/mobilenet_v2_1.0_224_float.onnx", None),
        ("classify/mobilenet_v1_0.25_224.h5", "class 0"),
    ],
)
def test_mobilenets_take_tensorflows_scale_and_a_centre_crop(
    tmp_path: Path, model: str, first_label: str | None
) -> None:
    given, found = search_from_wrong(tmp_path, model, "imagenet_sample350", most=92)
    assert found.verdict == "better_found"
    assert found.proposal is not None
    image = found.proposal.image
    assert image.channels == "rgb"
    assert values_at_ends(image) == [(-1.0, 1.0)] * 3
    assert found.proposal.labels[0] == first_label
    assert len(found.proposal.labels) == len(given.labels)
    assert any("87.5 %" in one for one in (*found.differs, *(e.what for e in found.equal)))
    assert found.gain is not None
    assert found.gain.lower > 0.3


def test_yolox_takes_bgr_unscaled_at_the_top_left(tmp_path: Path) -> None:
    _, found = search_from_wrong(tmp_path, "detect/yolox_nano.onnx", "coco128_train", most=92)
    assert (found.verdict, found.preset) == ("better_found", "yolox")
    assert found.proposal is not None
    assert found.proposal.image.channels == "bgr"
    assert values_at_ends(found.proposal.image) == [(0.0, 255.0)] * 3
    assert found.proposed is not None
    assert found.proposed.score.value > 0.4


def test_the_weather_checkpoint_takes_ultralytics_geometry(tmp_path: Path) -> None:
    _, found = search_from_wrong(
        tmp_path, "classify/yolov8n-cls_weather_best.pt", "weather_val", most=92
    )
    assert found.verdict == "better_found"
    assert found.proposal is not None
    assert found.preset == "ultralytics.classify"
    assert found.proposal.image.channels == "rgb"
    assert found.proposal.labels == ("cloudy", "rain", "shine", "sunrise")
    ((name, value), *_) = found.recorded
    assert "top1" in name
    assert found.fits, f"recorded {value} lies within none of the intervals"
