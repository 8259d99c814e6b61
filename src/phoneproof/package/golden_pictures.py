"""Golden pictures: generated, so that nothing of a user's images ships unless it was named.

Whole-number arithmetic only: a given NumPy and Pillow give the same bytes everywhere.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from phoneproof.core.golden import Flag

JPEG_QUALITY = 92
ROTATED_RIGHT = 6
"""EXIF orientation of a phone held upright: the stored picture is turned by 90 degrees."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class GoldenPicture:
    """One picture as it is encoded. pixels: uint8 [H, W] gray, [H, W, 3] or [H, W, 4]."""

    id: str
    comment: str
    flags: tuple[Flag, ...]
    pixels: Pixels
    orientation: int | None = None

    def png(self) -> bytes:
        """Lossless, with its transparency."""
        return self._encoded(Image.fromarray(self.pixels), "PNG")

    def jpeg(self) -> bytes:
        """JPEG of quality 92 with halved chroma, as cameras write; transparency is dropped."""
        opaque = self.pixels if self.pixels.ndim == 2 else self.pixels[:, :, :3]
        picture = Image.fromarray(np.ascontiguousarray(opaque))
        return self._encoded(picture, "JPEG", quality=JPEG_QUALITY)

    def _encoded(self, picture: Image.Image, kind: str, **options: int) -> bytes:
        stream = io.BytesIO()
        exif = Image.Exif()
        if self.orientation is not None:
            exif[ExifTags.Base.Orientation] = self.orientation
        picture.save(stream, kind, exif=exif, **options)
        return stream.getvalue()


def generated_pictures() -> tuple[GoldenPicture, ...]:
    """Eight pictures that between them show the usual mistakes of preprocessing."""
    return tuple(make() for make in _PICTURES)


def _landscape() -> GoldenPicture:
    return GoldenPicture(
        id="landscape",
        comment="A wide colourful scene: swapped channels, stretching and wrong scale show.",
        flags=("landscape",),
        pixels=_scene(640, 427, seed=1),
    )


def _portrait() -> GoldenPicture:
    return GoldenPicture(
        id="portrait",
        comment="Tall, with odd sides: rounding of sizes and the place of the padding show.",
        flags=("portrait",),
        pixels=_scene(375, 501, seed=2),
    )


def _rotated() -> GoldenPicture:
    return GoldenPicture(
        id="rotated",
        comment="Stored on its side with EXIF orientation 6, as phones do: missing rotation shows.",
        flags=("portrait", "exif_orientation"),
        pixels=_scene(400, 299, seed=3),
        orientation=ROTATED_RIGHT,
    )


def _fine_detail() -> GoldenPicture:
    return GoldenPicture(
        id="rings",
        comment="Rings that get finer outwards: each resize filter makes something else of them.",
        flags=("square", "fine_detail"),
        pixels=_rings(512),
    )


def _small() -> GoldenPicture:
    return GoldenPicture(
        id="small",
        comment="Smaller than most inputs: enlarging shows, and where the sampling grid lies.",
        flags=("landscape", "upscaled"),
        pixels=_scene(97, 61, seed=5),
    )


def _thin() -> GoldenPicture:
    return GoldenPicture(
        id="thin",
        comment="One pixel high: a side that rounds to nothing shows.",
        flags=("landscape", "thin", "upscaled"),
        pixels=_scene(33, 8, seed=6)[:1],
    )


def _gray() -> GoldenPicture:
    scene = _scene(320, 241, seed=7).astype(np.uint16)
    gray = (scene[:, :, 0] + 2 * scene[:, :, 1] + scene[:, :, 2]) // 4
    return GoldenPicture(
        id="gray",
        comment="A file with one channel: it must become three equal ones.",
        flags=("landscape", "gray_file"),
        pixels=gray.astype(np.uint8),
    )


def _transparent() -> GoldenPicture:
    scene = _scene(300, 203, seed=8)
    alpha = _disc(300, 203, (150, 100), 90).astype(np.uint8) * 191 + 64
    return GoldenPicture(
        id="transparent",
        comment="Partly transparent: what lies behind the picture shows. The JPEG is opaque.",
        flags=("landscape", "alpha"),
        pixels=np.dstack([scene, alpha]),
    )


_PICTURES: tuple[Callable[[], GoldenPicture], ...] = (
    _landscape,
    _portrait,
    _rotated,
    _fine_detail,
    _small,
    _thin,
    _gray,
    _transparent,
)


def _scene(width: int, height: int, *, seed: int) -> Pixels:
    """Sky, ground, a few bright bodies and grain: smooth parts, edges and noise together."""
    rng = np.random.Generator(np.random.PCG64(seed))
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    horizon = height * 3 // 5 + _triangle(x * 6, max(1, width)) * height // (8 * 255)
    sky = np.stack([90 + y * 90 // height, 140 + y * 70 // height, 230 - y * 60 // height], -1)
    earth = np.stack([110 + x * 60 // width, 95 + y * 40 // height, 60 + 0 * x], -1)
    scene = np.where((y < horizon)[:, :, None], sky, earth)
    for _ in range(7):
        center = (int(rng.integers(width)), int(rng.integers(height)))
        radius = int(rng.integers(max(2, height // 12), max(3, height // 5)))
        color = rng.integers(20, 256, 3)
        inside = _disc(width, height, center, radius)
        if rng.integers(2):
            inside = (abs(x - center[0]) < radius) & (abs(y - center[1]) < radius * 2 // 3)
        shade = 255 - (abs(x - center[0]) + abs(y - center[1])) * 60 // max(1, radius)
        scene = np.where(inside[:, :, None], color * shade[:, :, None] // 255, scene)
    grain = rng.integers(-9, 10, (height, width, 1))
    return np.clip(scene + grain, 0, 255).astype(np.uint8)


def _rings(side: int) -> Pixels:
    """A zone plate: the local frequency grows to the limit of what pixels can show."""
    y, x = np.mgrid[0:side, 0:side].astype(np.int64) - side // 2
    squares = x * x + y * y
    shifts = (0, side // 3, 2 * side // 3)
    return np.stack([_triangle(squares + s, side) for s in shifts], -1).astype(np.uint8)


def _triangle(value: NDArray[np.int64], period: int) -> NDArray[np.int64]:
    """A triangle wave of 0..255."""
    phase = value % period
    return np.minimum(phase, period - phase) * 510 // period


def _disc(width: int, height: int, center: tuple[int, int], radius: int) -> NDArray[np.bool_]:
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    squares: NDArray[np.int64] = (x - center[0]) ** 2 + (y - center[1]) ** 2
    return squares < radius * radius
