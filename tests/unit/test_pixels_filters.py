"""The readable references equal Pillow 13.0.0 and OpenCV 5.0.0 to the last bit."""

from __future__ import annotations

import cv2
import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from phoneproof.core.contract import Filter, Size
from phoneproof.pixels.filters import resize, to_gray
from phoneproof.pixels.reference import opencv, pillow, tensorflow

Array = NDArray[np.uint8]

PILLOW: tuple[Filter, ...] = (
    "pillow.nearest",
    "pillow.box",
    "pillow.bilinear",
    "pillow.hamming",
    "pillow.bicubic",
    "pillow.lanczos",
)
OPENCV: tuple[Filter, ...] = ("opencv.nearest", "opencv.linear", "opencv.area", "opencv.cubic")
TENSORFLOW: tuple[Filter, ...] = (
    "tensorflow.bilinear_half_pixel",
    "tensorflow.bilinear_legacy",
    "tensorflow.bilinear_align_corners",
)
EDGE_CASES: tuple[tuple[Size, Size], ...] = (
    ((1, 1), (1, 1)),
    ((1, 1), (7, 5)),
    ((1, 9), (4, 3)),
    ((9, 1), (3, 4)),
    ((9, 7), (1, 1)),
    ((2, 2), (1, 1)),
    ((4, 6), (2, 3)),
    ((9, 6), (3, 2)),
    ((12, 8), (3, 4)),
    ((5, 7), (5, 7)),
    ((5, 7), (5, 14)),
    ((5, 7), (10, 7)),
    ((13, 40), (12, 39)),
    ((40, 13), (41, 14)),
    ((30, 20), (60, 10)),
    ((20, 30), (10, 60)),
    ((720, 1280), (360, 640)),
    ((375, 500), (256, 341)),
    ((1080, 810), (640, 480)),
    ((97, 603), (320, 51)),
)
sides = st.integers(min_value=1, max_value=64)


def _reference(pixels: Array, size: Size, name: Filter) -> NDArray[np.uint8] | NDArray[np.float32]:
    library, _, method = name.partition(".")
    if library == "tensorflow":
        return tensorflow.resize(pixels, size, method)
    if library == "pillow":
        return pillow.resize(pixels, size, method)
    return opencv.resize(pixels, size, method)


def _pictures(size: Size, channels: int, seed: int) -> tuple[Array, Array]:
    """Noise, and black and white only: overshoot and clipping show there."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (*size, channels), dtype=np.uint8)
    return noise, np.where(noise > 127, np.uint8(255), np.uint8(0))


def _assert_equal(source: Size, target: Size, channels: int, name: Filter) -> None:
    for pixels in _pictures(source, channels, seed=source[0] * 7 + target[1]):
        made = resize(pixels, target, name)
        assert made.shape == (*target, channels)
        assert np.array_equal(_reference(pixels, target, name), made)


def test_these_are_the_versions_named() -> None:
    assert PIL.__version__ == "13.0.0"
    assert cv2.__version__ == "5.0.0"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [*PILLOW, *OPENCV])
def test_fixed_sizes(name: Filter, channels: int) -> None:
    for source, target in EDGE_CASES:
        _assert_equal(source, target, channels, name)


@pytest.mark.parametrize("name", [*PILLOW, *OPENCV])
@settings(max_examples=150, deadline=None)
@given(source=st.tuples(sides, sides), target=st.tuples(sides, sides), color=st.booleans())
def test_any_sizes(name: Filter, source: Size, target: Size, *, color: bool) -> None:
    _assert_equal(source, target, 3 if color else 1, name)


@pytest.mark.parametrize("name", [*PILLOW, *OPENCV])
@settings(max_examples=60, deadline=None)
@given(
    target=st.tuples(st.integers(1, 12), st.integers(1, 12)), by=st.tuples(*[st.integers(1, 5)] * 2)
)
def test_whole_number_ratios(name: Filter, target: Size, by: Size) -> None:
    _assert_equal((target[0] * by[0], target[1] * by[1]), target, 3, name)


@pytest.mark.parametrize("name", TENSORFLOW)
@settings(max_examples=40, deadline=None)
@given(source=st.tuples(*[st.integers(1, 24)] * 2), target=st.tuples(*[st.integers(1, 24)] * 2))
def test_tensorflow_filters_follow_their_reference(
    name: Filter, source: Size, target: Size
) -> None:
    _assert_equal(source, target, 3, name)


def test_filters_differ_from_each_other() -> None:
    """The control: on one picture no two of all filters give the same result."""
    pixels = _pictures((61, 83), 3, seed=1)[0]
    names = (*PILLOW, *OPENCV, *TENSORFLOW)
    results = {resize(pixels, (29, 40), name).astype(np.float32).tobytes() for name in names}
    assert len(results) == len(names)


@pytest.mark.parametrize("name", OPENCV)
def test_opencv_does_not_depend_on_threads_or_ipp(name: Filter) -> None:
    pixels = _pictures((480, 640), 3, seed=2)[0]
    results = set()
    threads, ipp = cv2.getNumThreads(), cv2.ipp.useIPP()
    try:
        for count in (1, 4):
            for use in (False, True):
                cv2.setNumThreads(count)
                cv2.ipp.setUseIPP(use)
                results.add(resize(pixels, (301, 333), name).tobytes())
                assert cv2.ipp.useIPP() == use
    finally:
        cv2.setNumThreads(threads)
        cv2.ipp.setUseIPP(ipp)
    assert len(results) == 1


def _all_colors() -> Array:
    """Every 5th level of red and green with every level of blue."""
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    red, green, blue = np.meshgrid(levels, levels, np.arange(256, dtype=np.uint8), indexing="ij")
    return np.stack([red, green, blue], axis=-1).reshape(-1, 256, 3)


def test_gray_formulas_in_whole_numbers() -> None:
    colors = _all_colors()
    red, green, blue = (colors[:, :, i].astype(np.int64) for i in range(3))
    by_pillow = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    by_opencv = (red * 9798 + green * 19235 + blue * 3735 + (1 << 14)) >> 15
    assert np.array_equal(to_gray(colors, "pillow")[:, :, 0], by_pillow)
    assert np.array_equal(to_gray(colors, "opencv")[:, :, 0], by_opencv)
    assert not np.array_equal(by_pillow, by_opencv)
    assert not np.array_equal(to_gray(colors, "tensorflow")[:, :, 0], by_opencv)
