"""Geometry numbers computed by hand, and boxes there and back."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phoneproof.core.contract import Crop, GeometryOp, ImageInput, Pad, Resize, Size
from phoneproof.core.errors import ConfigError, InvalidInput
from phoneproof.core.presets import preset_input
from phoneproof.pixels.geometry import CropStep, PadStep, ResizeStep, plan_geometry
from phoneproof.pixels.inverse import to_original, to_tensor

LETTERBOX = preset_input("ultralytics.detect", (640, 640))
YOLOX = preset_input("yolox", (416, 416))
TORCHVISION = preset_input("torchvision.imagenet", (224, 224))
SLIM = preset_input("slim.inception", (224, 224))
sides = st.integers(min_value=1, max_value=4000)


def _spec(size: Size, *geometry: GeometryOp) -> ImageInput:
    return msgspec.structs.replace(LETTERBOX, size=size, geometry=geometry)


@pytest.mark.parametrize(
    ("original", "resized", "offset"),
    [
        ((1080, 810), (640, 480), (0, 80)),
        ((720, 1280), (360, 640), (140, 0)),
        ((480, 640), (480, 640), (80, 0)),
        ((640, 640), (640, 640), (0, 0)),
        ((1, 1), (640, 640), (0, 0)),
        ((1, 2000), (1, 640), (319, 0)),
        ((427, 640), (427, 640), (106, 0)),
        ((375, 500), (480, 640), (80, 0)),
        ((333, 500), (426, 640), (107, 0)),
        ((481, 640), (481, 640), (79, 0)),
    ],
)
def test_ultralytics_letterbox(original: Size, resized: Size, offset: Size) -> None:
    """(481, 640): 159 rows are missing, 79 above, 80 below."""
    plan = plan_geometry(LETTERBOX, *original)
    assert plan.resize is not None
    assert (plan.resize.height, plan.resize.width) == resized
    assert [plan.top, plan.left] == list(offset)
    assert plan.size == (640, 640)


@pytest.mark.parametrize(("rounding", "height"), [("half_even", 2), ("floor", 2), ("ceil", 3)])
def test_sides_round_by_their_rule(rounding: str, height: int) -> None:
    """5 rows of 20 columns into 10x10: 2.5 rows."""
    resize = msgspec.convert(
        {"op": "resize", "to": "contain", "size": [10, 10], "round": rounding}, Resize
    )
    plan = plan_geometry(_spec((10, 10), resize, Pad(size=(10, 10))), 5, 20)
    assert plan.steps[0] == ResizeStep(
        height=height, width=10, gain_y=0.5, gain_x=0.5, filter="opencv.linear"
    )
    top = (10 - height) // 2
    assert plan.steps[1] == PadStep(top=top, left=0, height=10, width=10, value=(114, 114, 114))


@pytest.mark.parametrize(
    ("original", "resized"),
    [((1080, 810), (416, 312)), ((720, 1280), (234, 416)), ((333, 500), (277, 416))],
)
def test_yolox_cuts_off_and_stays_top_left(original: Size, resized: Size) -> None:
    """333 * 416 / 500 = 277.06."""
    plan = plan_geometry(YOLOX, *original)
    assert plan.resize is not None
    assert (plan.resize.height, plan.resize.width) == resized
    assert (plan.top, plan.left) == (0, 0)


@pytest.mark.parametrize(
    ("original", "resized", "crop"),
    [
        ((375, 500), (256, 341), (16, 58)),
        ((500, 375), (341, 256), (58, 16)),
        ((256, 256), (256, 256), (16, 16)),
        ((333, 500), (256, 384), (16, 80)),
        ((250, 333), (256, 340), (16, 58)),
        ((100, 1000), (256, 2560), (16, 1168)),
    ],
)
def test_torchvision_cover_and_crop(original: Size, resized: Size, crop: Size) -> None:
    """(375, 500): int(256 * 500 / 375) = 341; (341 - 224) / 2 = 58.5 rounds to the even 58."""
    plan = plan_geometry(TORCHVISION, *original)
    assert plan.resize is not None
    assert (plan.resize.height, plan.resize.width) == resized
    assert plan.steps[1] == CropStep(top=crop[0], left=crop[1], height=224, width=224)


def test_an_odd_remainder_rounds_to_even() -> None:
    spec = _spec((4, 4), Crop(size=(4, 4)))
    offsets = [plan_geometry(spec, side, 4).top for side in range(4, 12)]
    assert offsets == [0, 0, -1, -2, -2, -2, -3, -4]


@pytest.mark.parametrize(
    ("side", "first", "kept"),
    [(500, 31, 438), (375, 23, 329), (224, 14, 196), (10, 0, 10), (1, 0, 1), (16, 1, 14)],
)
def test_slim_crops_before_it_resizes(side: int, first: int, kept: int) -> None:
    """tf.image.central_crop: int((500 - 437.5) / 2) = 31 pixels go at both ends."""
    plan = plan_geometry(SLIM, side, 224)
    crop = plan.steps[0]
    assert isinstance(crop, CropStep)
    assert (crop.top, crop.height) == (first, kept)
    assert (crop.left, crop.width) == (14, 196)
    assert isinstance(plan.steps[1], ResizeStep)
    assert plan.gain_y == 224 / kept
    assert plan.top == -first * (224 / kept)


@pytest.mark.parametrize(
    ("original", "crop"),
    [((100, 300), (0, 100, 100, 100)), ((300, 100), (100, 0, 100, 100)), ((7, 7), (0, 0, 7, 7))],
)
def test_the_largest_square(original: Size, crop: tuple[int, int, int, int]) -> None:
    spec = _spec((32, 32), Crop(aspect=1), Resize(to="stretch", size=(32, 32)))
    plan = plan_geometry(spec, *original)
    top, left, height, width = crop
    expected = CropStep(top=top, left=left, height=height, width=width)
    assert plan.steps[0] == expected or original == (height, width)


def test_without_upscaling_a_small_picture_stays() -> None:
    resize = Resize(to="contain", size=(64, 64), upscale=False)
    plan = plan_geometry(_spec((64, 64), resize, Pad(size=(64, 64))), 20, 30)
    assert plan.resize is not None
    assert (plan.resize.height, plan.resize.width, plan.gain_x) == (20, 30, 1.0)
    assert (plan.top, plan.left) == (22, 17)


def test_a_plan_that_ends_elsewhere_names_the_step() -> None:
    spec = _spec((64, 64), Resize(to="contain", size=(64, 64)))
    with pytest.raises(ConfigError, match=r"step 1 \(resize\) gave 32x64"):
        plan_geometry(spec, 10, 20)


@pytest.mark.parametrize(
    ("op", "message"),
    [(Crop(size=(64, 64)), r"step 1 \(crop\)"), (Pad(size=(8, 8)), r"step 1 \(pad\)")],
)
def test_a_step_that_does_not_fit_is_named(op: GeometryOp, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_geometry(_spec((64, 64), op), 20, 20)


@given(height=sides, width=sides)
def test_every_preset_ends_at_its_size(height: int, width: int) -> None:
    for spec in (LETTERBOX, YOLOX, TORCHVISION, SLIM):
        plan = plan_geometry(spec, height, width)
        assert plan.size == spec.size
        assert plan.original == (height, width)


@given(
    height=st.integers(8, 3000),
    width=st.integers(8, 3000),
    corner=st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.01, 0.1)),
)
def test_boxes_there_and_back(height: int, width: int, corner: tuple[float, float, float]) -> None:
    x, y, part = corner
    box = np.array(
        [[x * width, y * height, (x + part) * width, (y + part) * height]], dtype=np.float32
    )
    for spec in (LETTERBOX, YOLOX, TORCHVISION, SLIM):
        plan = plan_geometry(spec, height, width)
        back = to_original(to_tensor(box, plan), plan)
        np.testing.assert_allclose(back, box, rtol=0, atol=max(height, width) * 1e-5)


def test_the_gain_is_the_ratio_not_the_rounded_side() -> None:
    """427 x 500 in 640: gain 1.28, although 427 rows became 547 (1.28103)."""
    plan = plan_geometry(LETTERBOX, 427, 500)
    assert plan.gain_y == plan.gain_x == 640 / 500
    assert plan.top == 46
    boxes = np.array([[100.0, 46.0, 228.0, 174.0]], dtype=np.float32)
    expected = np.array([[78.125, 0.0, 178.125, 100.0]], dtype=np.float32)
    assert np.array_equal(to_original(boxes, plan), expected)


def test_boxes_are_clipped_to_the_original() -> None:
    plan = plan_geometry(LETTERBOX, 720, 1280)
    boxes = np.array([[-5.0, 0.0, 700.0, 640.0]], dtype=np.float32)
    assert to_original(boxes, plan).tolist() == [[0.0, 0.0, 1280.0, 720.0]]


def test_an_offset_that_is_off_by_one_is_seen() -> None:
    """The control: a shifted pad moves boxes by 1 / gain pixels."""
    plan = plan_geometry(LETTERBOX, 720, 1280)
    boxes = np.array([[100.0, 200.0, 300.0, 400.0]], dtype=np.float32)
    shifted = boxes + np.array([0, 1, 0, 1], dtype=np.float32)
    moved = to_original(shifted, plan) - to_original(boxes, plan)
    assert moved.tolist() == [[0.0, 2.0, 0.0, 2.0]]


def test_no_boxes_and_wrong_tables() -> None:
    plan = plan_geometry(LETTERBOX, 720, 1280)
    assert to_original(np.zeros((0, 4), np.float32), plan).shape == (0, 4)
    with pytest.raises(InvalidInput, match=r"x1 y1 x2 y2"):
        to_original(np.zeros((4,), np.float32), plan)
