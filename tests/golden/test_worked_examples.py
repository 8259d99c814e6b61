"""The numbers of the reference pages are what the code computes: ports are written from them."""

from __future__ import annotations

import re
from types import ModuleType

import numpy as np
import pytest

from phoneproof.core.binding import Binding, Box, GridAnchors, InputBinding, Quant, YoloAnchors
from phoneproof.core.contract import Contract, GrayFormula
from phoneproof.core.json_format import parse
from phoneproof.core.presets import preset_input
from phoneproof.decode.anchors import to_xyxy
from phoneproof.decode.decode import decode
from phoneproof.decode.results import Detections
from phoneproof.pixels.filters import to_gray
from phoneproof.pixels.geometry import CropStep, PadStep, plan_geometry
from phoneproof.pixels.inverse import to_original
from phoneproof.pixels.reference import opencv, pillow, tensorflow
from phoneproof.pixels.values import value_tables
from tests.assets import ROOT

REFERENCE = ROOT / "docs" / "reference"
LIBRARIES: dict[str, ModuleType] = {"pillow": pillow, "opencv": opencv, "tensorflow": tensorflow}
ROW = np.array([10, 20, 200, 30, 90], np.uint8).reshape(1, 5, 1)
_FILTER_ROW = re.compile(r"^\| `(\w+)\.(\w+)` \| ([\d. ]+) \| ([\d. ]+) \|$", re.MULTILINE)


def page(name: str) -> str:
    return (REFERENCE / name).read_text()


def example(name: str) -> str:
    return page(name).partition("```json\n")[2].partition("```")[0]


CONTRACT = parse(example("contract.md"), Contract, what="contract")
BINDING = parse(example("binding.md"), Binding, what="binding")
PLAN = plan_geometry(CONTRACT.image, 427, 1000)


@pytest.mark.parametrize(
    ("library", "name", "three", "eight"), _FILTER_ROW.findall(page("filters.md"))
)
def test_the_table_of_filters(library: str, name: str, three: str, eight: str) -> None:
    for text in (three, eight):
        written = [float(number) for number in text.split()]
        made = LIBRARIES[library].resize(ROW, (1, len(written)), name).ravel()
        rounding = 5e-5 if library == "tensorflow" else 0
        np.testing.assert_allclose(made, written, rtol=0, atol=rounding)


def test_the_table_of_filters_is_whole() -> None:
    assert len(_FILTER_ROW.findall(page("filters.md"))) == 13


def test_the_letterbox() -> None:
    resize, pad = PLAN.steps
    assert isinstance(pad, PadStep)
    assert (resize.height, resize.width, pad.top, pad.left) == (273, 640, 183, 0)
    assert (PLAN.gain_y, PLAN.gain_x) == (0.64, 0.64)
    gray = value_tables(CONTRACT.image, BINDING.image)[0, 114]
    assert gray == np.float32(0.44705883)


def test_boxes_return_to_the_original() -> None:
    boxes = np.array([[100, 200, 300, 400], [0, 0, 640, 640]], np.float32)
    expected = [[156.25, 26.5625, 468.75, 339.0625], [0, 0, 1000, 427]]
    assert to_original(boxes, PLAN).tolist() == expected


def test_the_torchvision_values() -> None:
    spec = preset_input("torchvision.imagenet", (224, 224))
    tensor = InputBinding(tensor="image", shape=(1, 224, 224, 3), layout="NHWC")
    red = value_tables(spec, tensor)[0]
    assert red[0] == np.float32(-2.117904)
    assert red[[128]].tobytes()[::-1].hex() == "3d97af29"
    quant = Quant(scale=0.018658, zero_point=-14)
    whole = InputBinding(
        tensor="image", shape=(1, 224, 224, 3), layout="NHWC", dtype="int8", quant=quant
    )
    assert value_tables(spec, whole)[0, [0, 128, 255]].tolist() == [-128, -10, 107]
    resize, crop = plan_geometry(spec, 375, 500).steps
    assert (resize.height, resize.width) == (256, 341)
    assert isinstance(crop, CropStep)
    assert (crop.top, crop.left) == (16, 58)


def test_the_gray_pixel() -> None:
    pixel = np.array([[[69, 78, 10]]], np.uint8)
    formulas: tuple[GrayFormula, ...] = ("pillow", "opencv", "tensorflow")
    assert [int(to_gray(pixel, formula)[0, 0, 0]) for formula in formulas] == [68, 68, 67]


def test_four_anchors_decoded() -> None:
    output = np.zeros((1, 7, 8400), np.float32)
    output[0, :, 10] = [200, 300, 200, 200, 0.9, 0.95, 0.1]
    output[0, :, 11] = [204, 300, 200, 200, 0.8, 0, 0.1]
    output[0, :, 12] = [204, 300, 200, 200, 0, 0, 0.6]
    output[0, :, 13] = [400, 300, 100, 100, 0.25, 0, 0]
    found = decode(
        {"output0": output}, CONTRACT, BINDING, to_original=lambda boxes: to_original(boxes, PLAN)
    )
    assert isinstance(found, Detections)
    assert found.classes.tolist() == [0, 2]
    assert found.scores.tolist() == [np.float32(0.9), np.float32(0.6)]
    assert found.boxes.tolist() == [
        [156.25, 26.5625, 468.75, 339.0625],
        [162.5, 26.5625, 475, 339.0625],
    ]


@pytest.mark.parametrize(
    ("anchors", "format_", "size", "row", "values", "box"),
    [
        (
            GridAnchors(strides=(8, 16, 32)),
            Box(format="ltrb", units="stride"),
            640,
            6405,
            (1.5, 2, 2.5, 3),
            (64, -24, 128, 56),
        ),
        (
            GridAnchors(strides=(8, 16, 32), offset=0),
            Box(format="cxcywh", units="stride"),
            416,
            53,
            (0.25, 0.5, 1, 0.5),
            (-0.8731, 5.4051, 20.8731, 18.5949),
        ),
        (
            YoloAnchors(strides=(8,), wh=(((10, 13), (16, 30), (33, 23)),)),
            Box(format="cxcywh", units="stride"),
            640,
            6481,
            (0.6, 0.4, 0.5, 0.7),
            (5.6, -19, 21.6, 39.8),
        ),
    ],
)
def test_one_row_of_each_grid(
    anchors: GridAnchors | YoloAnchors,
    format_: Box,
    size: int,
    row: int,
    values: tuple[float, ...],
    box: tuple[float, ...],
) -> None:
    shapes = len(anchors.wh[0]) if isinstance(anchors, YoloAnchors) else 1
    rows = shapes * sum((size // stride) ** 2 for stride in anchors.strides)
    heads = np.zeros((rows, 4), np.float32)
    heads[row] = values
    np.testing.assert_allclose(to_xyxy(heads, format_, anchors, (size, size))[row], box, atol=5e-5)
    assert ", ".join(f"{number:g}" for number in box) in page("binding.md")
