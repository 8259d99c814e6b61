"""yuv.json: camera frames as RGB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from phoneproof.core.contract import Size
from phoneproof.pixels.yuv import Plane, yuv420_to_rgb
from tests.vectors.pictures import noise
from tests.vectors.types import ChromaLayout, Flag, LumaLayout, YuvCase, digest

_SIZES: Final[tuple[Size, ...]] = ((1, 1), (2, 2), (3, 5), (1, 8), (17, 1), (48, 64), (121, 163))
_PADDING: Final = (0, 5)
_ORDERS: Final[tuple[tuple[Literal[1, 2], Literal["uv", "vu"]], ...]] = (
    (1, "uv"),
    (2, "uv"),
    (2, "vu"),
)
"""I420, NV12, NV21."""
_CAMERA: Final[Size] = (480, 640)


def cases() -> Iterator[YuvCase]:
    """The three arrangements, with and without bytes after each row, and odd sides."""
    for place, size in enumerate(_SIZES):
        for pixel_stride, order in _ORDERS:
            for padding in _PADDING:
                chroma = ChromaLayout(
                    pixel_stride=pixel_stride,
                    row_stride=(size[1] + 1) // 2 * pixel_stride + 2 * padding,
                    order=order,
                )
                yield yuv_case(size, place * 10 + 1, size[1] + padding, chroma)
    camera = ChromaLayout(pixel_stride=2, row_stride=704, order="vu")
    yield yuv_case(_CAMERA, 77, 704, camera)


def yuv_case(size: Size, seed: int, luma_stride: int, chroma: ChromaLayout) -> YuvCase:
    """One frame."""
    height, width = size
    luma = LumaLayout(row_stride=luma_stride)
    y, u, v = planes(size, seed, luma, chroma)
    name = {(1, "uv"): "i420", (2, "uv"): "nv12", (2, "vu"): "nv21"}[
        (chroma.pixel_stride, chroma.order)
    ]
    probes: dict[Flag, bool] = {
        "one_pixel": 1 in size,
        "odd_sides": height % 2 == 1 or width % 2 == 1,
        "interleaved": chroma.pixel_stride == 2,
        "row_padding": luma_stride > width,
    }
    return YuvCase(
        id=f"yuv-{name}-{height}x{width}-stride-{luma_stride}",
        comment="BT.601 full range, chroma of pixel (y, x) at (y / 2, x / 2)",
        flags=tuple(flag for flag, holds in probes.items() if holds),
        height=height,
        width=width,
        seed=seed,
        y=luma,
        chroma=chroma,
        expected=digest(yuv420_to_rgb(y, u, v, size)),
    )


def planes(
    size: Size, seed: int, luma: LumaLayout, chroma: ChromaLayout
) -> tuple[Plane, Plane, Plane]:
    """Y, U and V of a frame by formula; each plane ends with its last value."""
    half = ((size[0] + 1) // 2, (size[1] + 1) // 2)
    y = _plane(seed, size, luma.row_stride, 1)
    if chroma.pixel_stride == 1:
        return (
            y,
            _plane(seed + 1, half, chroma.row_stride, 1),
            _plane(seed + 2, half, chroma.row_stride, 1),
        )
    first = _plane(seed + 1, half, chroma.row_stride, 2)
    second = _plane(seed + 1, half, chroma.row_stride, 2, start=1)
    return (y, first, second) if chroma.order == "uv" else (y, second, first)


def _plane(seed: int, size: Size, row_stride: int, pixel_stride: int, *, start: int = 0) -> Plane:
    end = start + (size[0] - 1) * row_stride + (size[1] - 1) * pixel_stride + 1
    return Plane(data=noise(seed, end)[start:], row_stride=row_stride, pixel_stride=pixel_stride)
