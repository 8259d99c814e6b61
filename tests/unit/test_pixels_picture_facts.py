from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.contract import Crop, ImageInput, Pad, Resize
from phoneproof.pixels.picture_facts import PICTURE_FEATURES, picture_facts

LETTERBOX = ImageInput(
    geometry=(Resize(to="contain", size=(64, 64)), Pad(size=(64, 64))),
    size=(64, 64),
    scale=1 / 255,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
)


def facts(rgb: NDArray[np.uint8], spec: ImageInput = LETTERBOX) -> dict[str, float]:
    return dict(zip(PICTURE_FEATURES, picture_facts(rgb, spec).tolist(), strict=True))


def photograph(height: int = 120, width: int = 160) -> NDArray[np.uint8]:
    noise = np.random.default_rng(1).uniform(0, 255, (height, width, 3)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 2) * 1.0, np.uint8)


def plain(value: int, height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), value, np.uint8)


def test_a_plain_picture() -> None:
    found = facts(plain(51, 30, 90))
    assert found == {
        "brightness": pytest.approx(0.2),
        "contrast": pytest.approx(0.0),
        "saturation": 0.0,
        "sharpness": pytest.approx(0.0),
        "short_side": 30.0,
        "aspect_ratio": 3.0,
    }


def test_the_padding_is_no_part_of_the_picture() -> None:
    wide, square = facts(plain(20, 10, 100)), facts(plain(20, 100, 100))
    for name in ("brightness", "contrast", "sharpness"):
        assert wide[name] == square[name]


def test_what_changes_changes_and_the_rest_stays() -> None:
    picture = photograph()
    before = facts(picture)
    dark = facts((picture * 0.25).astype(np.uint8))
    assert dark["brightness"] < 0.3 * before["brightness"]
    assert dark["short_side"] == 120.0
    assert dark["aspect_ratio"] == pytest.approx(160 / 120)
    blurred = facts(np.asarray(cv2.GaussianBlur(picture, (0, 0), 4), np.uint8))
    assert blurred["sharpness"] < 0.2 * before["sharpness"]
    assert blurred["brightness"] == pytest.approx(before["brightness"], abs=0.02)
    red = plain(0, 40, 40)
    red[..., 0] = 255
    assert facts(red)["saturation"] == pytest.approx(1.0)


def test_a_small_picture_is_blurred_in_the_eyes_of_the_model() -> None:
    picture = photograph(256, 256)
    small = cv2.resize(picture, (8, 8), interpolation=cv2.INTER_AREA)
    assert facts(np.asarray(small))["sharpness"] < 0.5 * facts(picture)["sharpness"]


def test_other_geometries() -> None:
    float_resize = ImageInput(
        geometry=(
            Crop(fraction=0.875),
            Resize(to="stretch", size=(32, 32), filter="tensorflow.bilinear_half_pixel"),
        ),
        size=(32, 32),
        values="float32",
        scale=1 / 127.5,
        mean=(1.0, 1.0, 1.0),
        std=(1.0, 1.0, 1.0),
    )
    assert facts(plain(255, 50, 70), float_resize)["brightness"] == pytest.approx(1.0)
    padded_first = ImageInput(
        geometry=(Pad(size=(80, 80)), Crop(size=(60, 60))),
        size=(60, 60),
        scale=1.0,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )
    assert facts(plain(200, 40, 40), padded_first)["contrast"] > 0.0
