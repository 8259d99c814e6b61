"""Presets say what the frameworks do; unknown names get the nearest."""

from __future__ import annotations

import numpy as np
import pytest

from phoneproof.core.contract import Crop, Decode, Pad, Resize
from phoneproof.core.errors import ConfigError
from phoneproof.core.presets import PRESETS, preset_decode, preset_input


def test_the_names() -> None:
    assert PRESETS == (
        "ultralytics.detect",
        "ultralytics.detect_end2end",
        "ultralytics.classify",
        "yolov5",
        "yolox",
        "torchvision.imagenet",
        "keras.tf",
        "keras.caffe",
        "keras.torch",
        "slim.inception",
    )


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_keeps_the_size_it_is_given(name: str) -> None:
    assert preset_input(name, (96, 128)).size == (96, 128)


def _ends(name: str) -> list[float]:
    """The values of black and white, first and last channel."""
    spec = preset_input(name, (224, 224))
    mean, std = np.array(spec.mean), np.array(spec.std)
    black, white = -mean / std, (255 * spec.scale - mean) / std
    return [round(float(v), 3) for v in (black[0], white[0], black[-1], white[-1])]


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("ultralytics.detect", [0, 1, 0, 1]),
        ("ultralytics.detect_end2end", [0, 1, 0, 1]),
        ("ultralytics.classify", [0, 1, 0, 1]),
        ("yolov5", [0, 1, 0, 1]),
        ("yolox", [0, 255, 0, 255]),
        ("torchvision.imagenet", [-2.118, 2.249, -1.804, 2.64]),
        ("keras.tf", [-1, 1, -1, 1]),
        ("keras.caffe", [-103.939, 151.061, -123.68, 131.32]),
        ("keras.torch", [-2.118, 2.249, -1.804, 2.64]),
        ("slim.inception", [-1, 1, -1, 1]),
    ],
)
def test_ranges(name: str, ends: list[float]) -> None:
    assert _ends(name) == ends


def test_channel_orders() -> None:
    swapped = [name for name in PRESETS if preset_input(name, (8, 8)).channels == "bgr"]
    assert swapped == ["yolox", "keras.caffe"]


def test_geometries() -> None:
    size = (224, 224)
    assert preset_input("torchvision.imagenet", size).geometry == (
        Resize(to="cover", size=(256, 256), round="floor", filter="pillow.bilinear"),
        Crop(size=size),
    )
    assert preset_input("yolox", size).geometry == (
        Resize(to="contain", size=size, round="floor"),
        Pad(size=size, anchor="top_left"),
    )
    wide = preset_input("ultralytics.classify", (64, 96)).geometry[0]
    assert isinstance(wide, Resize)
    assert wide.to == "stretch"


def test_decodes() -> None:
    detect = preset_decode("ultralytics.detect")
    assert detect is not None
    assert detect.nms is not None
    assert (detect.confidence, detect.nms.iou, detect.nms.max_detections) == (0.25, 0.7, 300)
    assert preset_decode("ultralytics.detect_end2end") == Decode(
        confidence=0.25, multi_label=True, nms=None
    )
    older = preset_decode("yolov5")
    assert older is not None
    assert older.nms is not None
    assert (older.confidence, older.nms.iou, older.nms.max_detections) == (0.25, 0.45, 1000)
    assert preset_decode("yolox") is not None
    assert preset_decode("keras.tf") is None


@pytest.mark.parametrize("call", [lambda n: preset_input(n, (8, 8)), preset_decode])
def test_an_unknown_preset_names_the_nearest(call: object) -> None:
    assert callable(call)
    with pytest.raises(ConfigError, match=r"did you mean 'ultralytics\.detect'"):
        call("ultralytics.detct")
    with pytest.raises(ConfigError, match="known: ultralytics"):
        call("???")
