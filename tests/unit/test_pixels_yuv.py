"""Camera frames as RGB: the arithmetic, strides, and what must not pass for it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from phoneproof.core.contract import Size
from phoneproof.core.errors import InvalidInput
from phoneproof.pixels import yuv
from phoneproof.pixels.yuv import Plane, yuv420_to_rgb

_KR, _KB = 0.299, 0.114
_KG = 1 - _KR - _KB

# A frame of 2x2 has one colour difference; by the formula of JFIF in floats, rounded.
_BY_HAND = [
    ((0, 128, 128), (0, 0, 0)),
    ((255, 128, 128), (255, 255, 255)),
    ((76, 85, 255), (254, 0, 0)),
    ((150, 44, 21), (0, 255, 1)),
    ((29, 255, 107), (0, 0, 254)),
    ((100, 0, 0), (0, 235, 0)),
    ((200, 255, 255), (255, 66, 255)),
]


def _plane(values: NDArray[np.uint8], row_stride: int = 0, pixel_stride: int = 1) -> Plane:
    """The values between bytes that must not be looked at."""
    rows, columns = values.shape
    stride = row_stride or columns * pixel_stride
    data = np.full((rows, stride), 77, np.uint8)
    data[:, : columns * pixel_stride : pixel_stride] = values
    end = (rows - 1) * stride + (columns - 1) * pixel_stride + 1
    return Plane(data=data.reshape(-1)[:end], row_stride=stride, pixel_stride=pixel_stride)


def _planes(size: Size, seed: int = 3) -> tuple[NDArray[np.uint8], ...]:
    half = ((size[0] + 1) // 2, (size[1] + 1) // 2)
    random = np.random.default_rng(seed)
    return tuple(random.integers(0, 256, shape, np.uint8) for shape in (size, half, half))


def _exact(y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8]) -> NDArray[np.float64]:
    """BT.601 full range in float64, before rounding; chroma as large as y."""
    blue, red = u.astype(np.float64) - 128, v.astype(np.float64) - 128
    green = -2 * _KB * (1 - _KB) / _KG * blue - 2 * _KR * (1 - _KR) / _KG * red
    rgb = np.stack([2 * (1 - _KR) * red, green, 2 * (1 - _KB) * blue], axis=-1)
    return np.clip(y[..., None] + rgb, 0, 255)


@pytest.mark.parametrize(("value", "rgb"), _BY_HAND)
def test_one_colour(value: tuple[int, int, int], rgb: tuple[int, int, int]) -> None:
    y, u, v = (np.array([[one]], np.uint8) for one in value)
    frame = yuv420_to_rgb(_plane(np.repeat(np.repeat(y, 2, 0), 2, 1)), _plane(u), _plane(v), (2, 2))
    assert frame.shape == (2, 2, 3)
    assert frame.reshape(-1, 3).tolist() == [list(rgb)] * 4


def test_the_constants_are_those_of_the_standard() -> None:
    """Each within half a unit: rounded, not cut."""
    exact = {
        yuv.RED_V: 2 * (1 - _KR),
        yuv.GREEN_U: 2 * _KB * (1 - _KB) / _KG,
        yuv.GREEN_V: 2 * _KR * (1 - _KR) / _KG,
        yuv.BLUE_U: 2 * (1 - _KB),
    }
    for constant, value in exact.items():
        assert abs(constant - value * 2**16) <= 0.5


def test_every_pair_of_chroma_is_the_rounded_formula() -> None:
    """All 65 536 pairs at three brightnesses: at most half a unit and the constants' rounding."""
    u, v = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    for brightness in (16, 128, 201):
        y = np.full((512, 512), brightness, np.uint8)
        frame = yuv420_to_rgb(_plane(y), _plane(u), _plane(v), (512, 512))[::2, ::2]
        away = np.abs(frame - _exact(y[::2, ::2], u, v))
        assert away.max() < 0.5 + 2 * 128 * 0.5 / 2**16


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 5), (2, 7), (6, 1), (9, 16)])
def test_odd_sides_share_the_last_chroma(size: Size) -> None:
    y, u, v = _planes(size)
    frame = yuv420_to_rgb(_plane(y), _plane(u), _plane(v), size)
    wide = [np.repeat(np.repeat(one, 2, 0), 2, 1)[: size[0], : size[1]] for one in (u, v)]
    assert np.abs(frame - _exact(y, wide[0], wide[1])).max() < 0.51


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    extra=st.integers(0, 5),
    pixel_stride=st.integers(1, 3),
)
def test_strides_change_nothing(height: int, width: int, extra: int, pixel_stride: int) -> None:
    size = (height, width)
    y, u, v = _planes(size)
    tight = yuv420_to_rgb(_plane(y), _plane(u), _plane(v), size)
    stride = u.shape[1] * pixel_stride + extra
    loose = yuv420_to_rgb(
        _plane(y, width + extra),
        _plane(u, stride, pixel_stride),
        _plane(v, stride, pixel_stride),
        size,
    )
    assert np.array_equal(tight, loose)


def test_interleaved_planes_are_one_buffer() -> None:
    """NV21: V first, U a byte later, in the same bytes."""
    y, u, v = _planes((4, 6))
    buffer = np.stack([v, u], axis=2).reshape(-1)
    first, second = (Plane(data=buffer[start:], row_stride=6, pixel_stride=2) for start in (0, 1))
    assert np.array_equal(
        yuv420_to_rgb(_plane(y), second, first, (4, 6)),
        yuv420_to_rgb(_plane(y), _plane(u), _plane(v), (4, 6)),
    )


def test_swapped_chroma_is_seen() -> None:
    y, u, v = _planes((32, 32))
    right = yuv420_to_rgb(_plane(y), _plane(u), _plane(v), (32, 32))
    swapped = yuv420_to_rgb(_plane(y), _plane(v), _plane(u), (32, 32))
    assert (right != swapped).any(axis=2).mean() > 0.9


def test_limited_range_is_seen() -> None:
    """OpenCV's NV12 is BT.601 of limited range, 16..235: what a phone library must not use."""
    y, u, v = _planes((32, 32))
    right = yuv420_to_rgb(_plane(y), _plane(u), _plane(v), (32, 32))
    limited = cv2.cvtColorTwoPlane(y, np.stack([u, v], axis=2), cv2.COLOR_YUV2RGB_NV12)
    assert (right != limited).any(axis=2).mean() > 0.9


@pytest.mark.parametrize(
    "plane",
    [
        Plane(data=np.zeros(7, np.uint8), row_stride=4),
        Plane(data=np.zeros(8, np.uint8), row_stride=3),
        Plane(data=np.zeros(8, np.uint8), row_stride=4, pixel_stride=0),
        Plane(data=np.zeros(8, np.uint8), row_stride=-4),
        Plane(data=np.zeros((2, 4), np.uint8), row_stride=4),
        Plane(data=np.zeros(0, np.uint8), row_stride=4),
    ],
)
def test_a_plane_that_is_not_what_its_strides_say(plane: Plane) -> None:
    _, u, v = _planes((2, 4))
    with pytest.raises(InvalidInput, match="the Y plane"):
        yuv420_to_rgb(plane, _plane(u), _plane(v), (2, 4))


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (-1, 2), (2, 16385)])
def test_a_frame_without_pixels(size: Size) -> None:
    y, u, v = _planes((2, 4))
    with pytest.raises(InvalidInput, match="1 to 16384"):
        yuv420_to_rgb(_plane(y), _plane(u), _plane(v), size)
