"""Every planted mistake is named; a correct dump is called identical."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from phoneproof.core.binding import Binding, InputBinding, Layout, Quant
from phoneproof.core.contract import Contract, Filter, ImageInput, Pad, Resize
from phoneproof.core.errors import InvalidInput
from phoneproof.core.presets import IMAGENET_MEAN, IMAGENET_STD, preset_input
from phoneproof.pixels.dump import Diagnosis, diagnose
from phoneproof.pixels.hypotheses import FILTERS
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor
from tests.assets import asset

SIZE = (160, 160)
DETECT = preset_input("ultralytics.detect", SIZE)
Array = NDArray[np.uint8]


def _smooth(seed: int, height: int, width: int) -> Array:
    """A colourful picture with structure at several scales, like a photograph."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells, weight in ((4, 0.5), (16, 0.3), (64, 0.2)):
        noise = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        total += weight * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    stretched = (total - total.min()) / (total.max() - total.min()) * 255
    return np.asarray(stretched, dtype=np.uint8)


@pytest.fixture(params=["wide", "tall", "real"])
def picture(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "real":
        return asset("images/single/zidane.jpg")
    sizes = {"wide": (301, 427), "tall": (500, 333)}
    path = tmp_path / f"{request.param}.png"
    height, width = sizes[request.param]
    Image.fromarray(_smooth(len(request.param), height, width)).save(path)
    return path


def _contract(spec: ImageInput) -> Contract:
    return Contract(name="m", task="raw", inputs=(spec,))


def _binding(spec: ImageInput, layout: Layout = "NHWC", *, quant: Quant | None = None) -> Binding:
    height, width = spec.size
    shape = (1, height, width, 3) if layout == "NHWC" else (1, 3, height, width)
    tensor = InputBinding(
        tensor="x", shape=shape, layout=layout, dtype="int8" if quant else "float32", quant=quant
    )
    return Binding(contract="0", format="tflite", inputs=(tensor,), outputs=())


def _dump(path: Path, spec: ImageInput, binding: Binding) -> bytes:
    rgb = read_image(path, spec)
    return Preprocessor(spec, binding.image).prepare(rgb).tensor.tobytes()


def _pixels(path: Path, method: Filter) -> NDArray[np.uint8] | NDArray[np.float32]:
    spec = _with_filter(DETECT, method)
    return Preprocessor(spec, _binding(spec).image).pixels(read_image(path, spec))


def _diagnosed(path: Path, wrong: ImageInput, right: ImageInput = DETECT) -> Diagnosis:
    dump = _dump(path, wrong, _binding(right))
    return diagnose(path, dump, _contract(right), _binding(right))


def _stretched(spec: ImageInput, method: Filter = "opencv.linear") -> ImageInput:
    return msgspec.structs.replace(
        spec, geometry=(Resize(to="stretch", size=spec.size, filter=method),)
    )


def _with_pad(spec: ImageInput, pad: Pad) -> ImageInput:
    return msgspec.structs.replace(spec, geometry=(spec.geometry[0], pad))


def _with_filter(spec: ImageInput, method: Filter) -> ImageInput:
    resize = Resize(to="contain", size=spec.size, filter=method)
    is_float = method.startswith("tensorflow.")
    return msgspec.structs.replace(
        spec,
        geometry=(resize, spec.geometry[1]),
        values="float32" if is_float else "uint8",
    )


BGR = msgspec.structs.replace(DETECT, channels="bgr")
SIGNED = msgspec.structs.replace(DETECT, scale=1 / 127.5, mean=(1.0, 1.0, 1.0))


def test_a_correct_dump_is_identical(picture: Path) -> None:
    diagnosis = _diagnosed(picture, DETECT)
    assert diagnosis.verdict == "identical"
    assert diagnosis.mistakes == ()
    assert diagnosis.max_difference == 0


def test_another_order_of_float_operations_is_identical(picture: Path) -> None:
    rgb = read_image(picture, DETECT)
    pixels = Preprocessor(DETECT, _binding(DETECT).image).pixels(rgb)
    dump = (pixels.astype(np.float32) * np.float32(1 / 255)).tobytes()
    assert diagnose(picture, dump, _contract(DETECT), _binding(DETECT)).verdict == "identical"


@pytest.mark.parametrize(
    ("wrong", "mistakes"),
    [
        pytest.param(BGR, ("BGR channel order",), id="bgr"),
        pytest.param(_stretched(DETECT), ("stretched",), id="stretched"),
        pytest.param(SIGNED, ("/127.5-1 instead of /255",), id="signed"),
        pytest.param(
            msgspec.structs.replace(DETECT, scale=1.0),
            ("0..255 unscaled instead of /255",),
            id="unscaled",
        ),
        pytest.param(
            msgspec.structs.replace(DETECT, scale=1 / 256), ("/256 instead of /255",), id="256"
        ),
        pytest.param(
            msgspec.structs.replace(DETECT, mean=IMAGENET_MEAN, std=IMAGENET_STD),
            ("/255 with ImageNet's mean and std instead of /255",),
            id="imagenet",
        ),
        pytest.param(
            _with_pad(DETECT, Pad(size=SIZE, anchor="top_left")),
            ("padded at the end only, the picture at the top left",),
            id="anchor",
        ),
        pytest.param(
            _with_pad(DETECT, Pad(size=SIZE, value=(0, 0, 0))), ("padded with black",), id="black"
        ),
        pytest.param(
            msgspec.structs.replace(_stretched(SIGNED), channels="bgr"),
            ("BGR channel order", "stretched", "/127.5-1 instead of /255"),
            id="three",
        ),
        pytest.param(
            _with_filter(BGR, "pillow.bilinear"),
            ("BGR channel order", "resized with pillow.bilinear instead of opencv.linear"),
            id="bgr-filter",
        ),
    ],
)
def test_planted_mistakes_are_named(
    picture: Path, wrong: ImageInput, mistakes: tuple[str, ...]
) -> None:
    diagnosis = _diagnosed(picture, wrong)
    assert diagnosis.verdict == "mistakes"
    assert diagnosis.mistakes == mistakes
    assert diagnosis.summary == ", ".join(mistakes)
    assert diagnosis.mean_difference > diagnosis.remaining_mean


@pytest.mark.parametrize(
    "method",
    [
        "pillow.nearest",
        "pillow.box",
        "pillow.bilinear",
        "pillow.hamming",
        "pillow.bicubic",
        "pillow.lanczos",
        "opencv.area",
        "opencv.cubic",
        "tensorflow.bilinear_half_pixel",
        "tensorflow.bilinear_legacy",
        "tensorflow.bilinear_align_corners",
    ],
)
def test_a_wrong_filter_is_named(picture: Path, method: Filter) -> None:
    """At a ratio of 8 two filters copy the same pixels: then either name is right."""
    planted = _dump(picture, _with_filter(DETECT, method), _binding(DETECT))
    pixels = _pixels(picture, method)
    same = [other for other in FILTERS if np.array_equal(_pixels(picture, other), pixels)]
    diagnosis = diagnose(picture, planted, _contract(DETECT), _binding(DETECT))
    assert method in same
    assert "opencv.linear" not in same
    assert diagnosis.mistakes in [
        (f"resized with {other} instead of opencv.linear",) for other in same
    ]


@pytest.mark.parametrize(("layout", "other"), [("NHWC", "NCHW"), ("NCHW", "NHWC")])
def test_the_other_memory_order_is_named(picture: Path, layout: Layout, other: Layout) -> None:
    dump = _dump(picture, DETECT, _binding(DETECT, other))
    diagnosis = diagnose(picture, dump, _contract(DETECT), _binding(DETECT, layout))
    assert diagnosis.mistakes == (f"{other} memory order instead of {layout}",)


@pytest.mark.parametrize(("down", "right"), [(1, 0), (0, 1)])
def test_a_letterbox_off_by_one_is_named(tmp_path: Path, down: int, right: int) -> None:
    height, width = (301, 427) if down else (427, 301)
    path = tmp_path / "picture.png"
    Image.fromarray(_smooth(3, height, width)).save(path)
    rgb = read_image(path, DETECT)
    pixels = Preprocessor(DETECT, _binding(DETECT).image).pixels(rgb)
    moved = np.roll(pixels, (down, right), axis=(0, 1))
    dump = (moved.astype(np.float32) / np.float32(255)).tobytes()
    diagnosis = diagnose(path, dump, _contract(DETECT), _binding(DETECT))
    word = "low" if down else "far right"
    assert diagnosis.mistakes == (f"off by one: the picture placed 1 pixel too {word}",)


def test_a_missing_rotation_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rotated.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(_smooth(4, 301, 427)).save(path, exif=exif)
    unrotated = msgspec.structs.replace(DETECT, orientation="ignore")
    assert _diagnosed(path, unrotated).mistakes == ("EXIF rotation not applied",)
    wrong = msgspec.structs.replace(unrotated, channels="bgr")
    assert _diagnosed(path, wrong).mistakes == ("EXIF rotation not applied", "BGR channel order")


def test_a_classifier_that_was_letterboxed(picture: Path) -> None:
    right = preset_input("torchvision.imagenet", SIZE)
    resize = Resize(to="contain", size=SIZE, filter="pillow.bilinear")
    pad = Pad(size=SIZE, value=(0, 0, 0))
    letterboxed = msgspec.structs.replace(right, geometry=(resize, pad))
    assert _diagnosed(picture, letterboxed, right).mistakes == ("letterboxed, padded with black",)
    assert _diagnosed(picture, right, right).verdict == "identical"
    stretched = _stretched(right, "pillow.bilinear")
    assert _diagnosed(picture, stretched, right).mistakes == ("stretched",)


def test_an_int8_input(picture: Path) -> None:
    binding = _binding(DETECT, quant=Quant(scale=1 / 255, zero_point=-128))
    right = _dump(picture, DETECT, binding)
    assert diagnose(picture, right, _contract(DETECT), binding).verdict == "identical"
    wrong = _dump(picture, BGR, binding)
    diagnosis = diagnose(picture, wrong, _contract(DETECT), binding)
    assert diagnosis.mistakes == ("BGR channel order",)


def test_another_jpeg_decoder_is_no_mistake(picture: Path) -> None:
    rgb = read_image(picture, DETECT)
    rng = np.random.default_rng(0)
    noisy = np.clip(rgb.astype(np.int16) + rng.integers(-2, 3, rgb.shape), 0, 255)
    binding = _binding(DETECT)
    tensor = Preprocessor(DETECT, binding.image).prepare(noisy.astype(np.uint8)).tensor
    diagnosis = diagnose(picture, tensor.tobytes(), _contract(DETECT), binding)
    assert diagnosis.verdict == "same pixels, another JPEG decoder"
    assert diagnosis.mistakes == ()
    assert 0 < diagnosis.mean_difference < 2


def test_mistakes_are_named_through_another_jpeg_decoder(picture: Path) -> None:
    """A re-encoded picture stands for a decoder that differs by a few units."""
    rgb = read_image(picture, DETECT)
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=97)
    again = np.asarray(Image.open(buffer))
    wrong = msgspec.structs.replace(_stretched(SIGNED), channels="bgr")
    binding = _binding(DETECT)
    tensor = Preprocessor(wrong, binding.image).prepare(again).tensor
    diagnosis = diagnose(picture, tensor.tobytes(), _contract(DETECT), binding)
    assert diagnosis.mistakes == ("BGR channel order", "stretched", "/127.5-1 instead of /255")
    assert diagnosis.remaining_mean > 0


def test_noise_fits_no_hypothesis(picture: Path) -> None:
    noise = np.random.default_rng(1).random((*SIZE, 3), dtype=np.float32)
    diagnosis = diagnose(picture, noise.tobytes(), _contract(DETECT), _binding(DETECT))
    assert diagnosis.verdict == "unexplained"
    assert diagnosis.mistakes == ()
    assert diagnosis.hypotheses_tried > 100
    assert "no usual mistake" in diagnosis.summary


def test_nan_fits_no_hypothesis(picture: Path) -> None:
    dump = np.full((*SIZE, 3), np.nan, dtype=np.float32).tobytes()
    diagnosis = diagnose(picture, dump, _contract(DETECT), _binding(DETECT))
    assert diagnosis.verdict == "unexplained"


@pytest.mark.parametrize("size", [0, 1, 160 * 160 * 3, 160 * 160 * 4 * 4])
def test_a_dump_of_another_size_is_refused(picture: Path, size: int) -> None:
    with pytest.raises(InvalidInput, match="307200 bytes: float32") as caught:
        diagnose(picture, bytes(size), _contract(DETECT), _binding(DETECT))
    if size == 160 * 160 * 3:
        assert "8-bit" in str(caught.value)
