"""Tensors: tables in every dtype, layouts, channel orders, and the reference letterbox."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.binding import DType, InputBinding, Layout, Quant
from phoneproof.core.contract import Crop, ImageInput, Pad, Resize
from phoneproof.core.errors import ConfigError, InvalidInput, Unsupported
from phoneproof.core.presets import IMAGENET_MEAN, IMAGENET_STD, PRESETS, preset_input
from phoneproof.pixels.filters import resize
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor
from tests.assets import asset

Array = NDArray[np.uint8]
RGB = ImageInput(
    geometry=(),
    size=(16, 16),
    scale=1 / 255,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
)
BGR = msgspec.structs.replace(RGB, channels="bgr")
PLAIN = msgspec.structs.replace(RGB, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def _binding(
    spec: ImageInput,
    layout: Layout = "NHWC",
    dtype: DType = "float32",
    quant: Quant | None = None,
    *,
    in_file: bool = False,
) -> InputBinding:
    count, (height, width) = spec.channel_count, spec.size
    shape = (1, height, width, count) if layout == "NHWC" else (1, count, height, width)
    return InputBinding(
        tensor="x",
        shape=shape,
        layout=layout,
        dtype=dtype,
        quant=quant,
        normalise_in_file=in_file,
    )


def _all_values() -> Array:
    """All 256 values, another order in each channel."""
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    return np.stack([values, values[::-1], values.T], axis=2)


@pytest.mark.parametrize("name", ["bus.jpg", "zidane.jpg"])
def test_the_letterbox_of_ultralytics(name: str) -> None:
    recorded = np.load(asset("reference/ultralytics_yolov8n.npz"))[f"{name}:letterbox_rgb"]
    spec = preset_input("ultralytics.detect", (640, 640))
    rgb = read_image(asset(f"images/single/{name}"), spec)
    made = Preprocessor(spec, _binding(spec)).pixels(rgb)
    assert np.array_equal(made, recorded)
    assert not np.array_equal(made[:, :, ::-1], recorded)
    assert not np.array_equal(np.roll(made, 1, axis=0), recorded)
    filtered = msgspec.structs.replace(spec.geometry[0], filter="opencv.cubic")
    other = msgspec.structs.replace(spec, geometry=(filtered, spec.geometry[1]))
    assert not np.array_equal(Preprocessor(other, _binding(other)).pixels(rgb), recorded)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("spec", [RGB, BGR], ids=["rgb", "bgr"])
def test_float_tables(spec: ImageInput, layout: Layout) -> None:
    """Computed in float64, rounded once; mean and std are in the contract's channel order."""
    rgb = _all_values()
    tensor = Preprocessor(spec, _binding(spec, layout)).prepare(rgb).tensor
    ordered = rgb[:, :, ::-1] if spec.channels == "bgr" else rgb
    mean, std = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
    wide = (ordered.astype(np.float64) * (1 / 255) - mean) / std
    expected = wide.astype(np.float32)[None]
    if layout == "NCHW":
        expected = expected.transpose(0, 3, 1, 2)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    assert np.array_equal(tensor, expected)


def test_a_swapped_channel_is_seen() -> None:
    right = Preprocessor(RGB, _binding(RGB)).prepare(_all_values()).tensor
    swapped = Preprocessor(BGR, _binding(BGR)).prepare(_all_values()).tensor
    assert not np.array_equal(right, swapped)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_int8_with_the_scale_of_one_pixel(layout: Layout) -> None:
    """Scale 1/255 and zero point -128: the tensor holds p - 128."""
    quant = Quant(scale=1 / 255, zero_point=-128)
    prepared = Preprocessor(PLAIN, _binding(PLAIN, layout, "int8", quant)).prepare(_all_values())
    expected = (_all_values().astype(np.int16) - 128).astype(np.int8)[None]
    if layout == "NCHW":
        expected = expected.transpose(0, 3, 1, 2)
    assert prepared.tensor.dtype == np.int8
    assert np.array_equal(prepared.tensor, expected)


def test_int8_rounds_half_to_even_and_clamps() -> None:
    """Scale 2 on 0..255 values: p / 2, halves to even, then cut off at 127."""
    spec = msgspec.structs.replace(PLAIN, scale=1.0)
    quant = Quant(scale=2.0, zero_point=3)
    tensor = Preprocessor(spec, _binding(spec, "NHWC", "int8", quant)).prepare(_all_values()).tensor
    first = tensor[0, 0, :7, 0].tolist()
    assert first == [3, 3, 4, 5, 5, 5, 6]
    assert tensor.max() == 127


def test_uint8_and_int16() -> None:
    raw = Preprocessor(PLAIN, _binding(PLAIN, dtype="uint8", in_file=True))
    assert np.array_equal(raw.prepare(_all_values()).tensor[0], _all_values())
    quant = Quant(scale=1 / 32767, zero_point=0)
    wide = Preprocessor(PLAIN, _binding(PLAIN, dtype="int16", quant=quant))
    assert wide.prepare(_all_values()).tensor[0, 15, 15, 0] == 32767


def test_float16_is_the_float32_value_rounded() -> None:
    half = Preprocessor(RGB, _binding(RGB, "NCHW", "float16")).prepare(_all_values()).tensor
    full = Preprocessor(RGB, _binding(RGB, "NCHW")).prepare(_all_values()).tensor
    assert np.array_equal(half, full.astype(np.float16))


def test_a_model_that_normalises_gets_the_pixels() -> None:
    tensor = Preprocessor(RGB, _binding(RGB, in_file=True)).prepare(_all_values()).tensor
    assert tensor.dtype == np.float32
    assert np.array_equal(tensor[0], _all_values().astype(np.float32))


def test_float_pixels_follow_the_written_order() -> None:
    spec = preset_input("slim.inception", (24, 24))
    rgb = np.random.default_rng(0).integers(0, 256, (37, 51, 3), dtype=np.uint8)
    preprocessor = Preprocessor(spec, _binding(spec))
    pixels = preprocessor.pixels(rgb)
    assert pixels.dtype == np.float32
    half = np.float32(0.5)
    expected = (pixels * np.float32(1 / 255) - half) / half
    assert np.array_equal(preprocessor.prepare(rgb).tensor[0], expected)


def test_pads_are_in_the_contracts_channel_order() -> None:
    for spec in (RGB, BGR):
        padded = msgspec.structs.replace(
            spec, geometry=(Pad(size=(16, 16), anchor="top_left", value=(1, 2, 3)),)
        )
        small = np.full((4, 4, 3), (10, 20, 30), dtype=np.uint8)
        preprocessor = Preprocessor(padded, _binding(padded, dtype="uint8", in_file=True))
        pixels = preprocessor.pixels(small)
        assert pixels[15, 15].tolist() == [1, 2, 3]
        assert pixels[0, 0].tolist() == ([10, 20, 30] if spec is RGB else [30, 20, 10])
        assert np.array_equal(preprocessor.prepare(small).tensor[0], pixels)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_gray_is_made_before_the_geometry(layout: Layout) -> None:
    spec = ImageInput(
        channels="gray",
        gray="pillow",
        geometry=(Resize(to="stretch", size=(16, 16), filter="pillow.bilinear"),),
        size=(16, 16),
        scale=1 / 255,
        mean=(0.0,),
        std=(1.0,),
    )
    rgb = np.random.default_rng(0).integers(0, 256, (37, 51, 3), dtype=np.uint8)
    red, green, blue = (rgb[:, :, i].astype(np.int64) for i in range(3))
    gray = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    expected = resize(gray.astype(np.uint8)[:, :, None], (16, 16), "pillow.bilinear")
    preprocessor = Preprocessor(spec, _binding(spec, layout))
    assert np.array_equal(preprocessor.pixels(rgb), expected)
    assert preprocessor.prepare(rgb).tensor.size == 256


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 90, 3), (90, 1, 3), (2, 3, 3)])
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_takes_pictures_of_one_pixel(name: str, shape: tuple[int, int, int]) -> None:
    spec = preset_input(name, (32, 32))
    rgb = np.full(shape, 200, dtype=np.uint8)
    for layout in ("NHWC", "NCHW"):
        prepared = Preprocessor(spec, _binding(spec, layout)).prepare(rgb)
        assert np.isfinite(prepared.tensor).all()
        assert prepared.plan.original == shape[:2]


def test_a_crop_alone() -> None:
    spec = msgspec.structs.replace(
        PLAIN, size=(4, 4), geometry=(Crop(size=(4, 4), anchor="top_left"),)
    )
    pixels = Preprocessor(spec, _binding(spec, "NCHW")).pixels(_all_values())
    assert np.array_equal(pixels, _all_values()[:4, :4])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="contract's size"):
        Preprocessor(RGB, msgspec.structs.replace(_binding(RGB), layout="NCHW"))
    with pytest.raises(ConfigError, match="does not say what its numbers mean"):
        Preprocessor(RGB, _binding(RGB, dtype="int8"))
    with pytest.raises(Unsupported, match="int64"):
        Preprocessor(RGB, _binding(RGB, dtype="int64"))
    preprocessor = Preprocessor(RGB, _binding(RGB))
    for bad in (np.zeros((16, 16), np.uint8), np.zeros((0, 16, 3), np.uint8)):
        with pytest.raises(InvalidInput, match="height, width, 3"):
            preprocessor.prepare(bad)
