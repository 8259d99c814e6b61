"""Picture files as RGB pixels: orientation, colour profile, transparency, hostile files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from phoneproof.core.contract import ImageInput
from phoneproof.core.errors import InvalidInput

MAX_PIXELS = 89_478_485
"""Largest picture that is decoded (width * height): a quarter of a gigabyte of RGB. It is also
the size above which Pillow 13.0.0 suspects a decompression bomb."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
"""Formats that are opened (AVIF where Pillow was built with it). The others of Pillow start
external programs or are no pictures. Multi-picture JPEGs are opened as JPEG."""

_LFS_PREFIX = b"version https://git-lfs"
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_UPRIGHT = 1
_Alpha = Literal["drop"] | tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageTraits:
    """What a picture file's header says; `width` and `height` are as stored, before rotation."""

    width: int
    height: int
    format: str
    mode: str
    has_icc_other_than_srgb: bool
    icc_name: str | None
    exif_rotated: bool
    has_alpha: bool


def read_image(path: Path, spec: ImageInput) -> NDArray[np.uint8]:
    """Decode a picture as the contract says.

    Palette, grey, CMYK and 16-bit pictures become 8-bit RGB; of 16 bits the upper eight are kept,
    as libpng's strip_16 (and with it OpenCV and TensorFlow) does. Of a moving picture the first
    frame is taken.

    Args:
        path: the file.
        spec: orientation, color_profile and alpha are followed.

    Returns:
        uint8 [H, W, 3], RGB, C-contiguous.

    Raises:
        InvalidInput: missing, empty, truncated, larger than `MAX_PIXELS`, or no picture.
    """
    with _opened(path) as image:
        rotated = ImageOps.exif_transpose(image) if spec.orientation == "exif" else image
        upright = _eight_bit(rotated, path)
        if spec.color_profile == "srgb":
            upright = _as_srgb(upright, image.info.get("icc_profile"), path)
        return _rgb(upright, spec.alpha)


def image_traits(path: Path) -> ImageTraits:
    """Read a picture's header only.

    Raises:
        InvalidInput: as `read_image`, except that truncated pixel data is not noticed.
    """
    with _opened(path) as image:
        name = _profile_name(image.info.get("icc_profile"))
        orientation = image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT)
        return ImageTraits(
            width=image.width,
            height=image.height,
            format=image.format or "",
            mode=image.mode,
            has_icc_other_than_srgb=name is not None and "srgb" not in name.lower(),
            icc_name=name,
            exif_rotated=orientation in range(2, 9),
            has_alpha=_has_alpha(image),
        )


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open, check the size, and map everything Pillow raises, also while pixels are decoded."""
    _check_file(path)
    try:
        with Image.open(path, formats=_readable()) as image:
            _check_size(path, image)
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path, str(error)) from error
    except UnidentifiedImageError as error:
        raise InvalidInput(
            f"{path.name} is not a picture that can be read",
            found=_beginning(path),
            next_step=f"use one of {', '.join(FORMATS)}",
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        raise InvalidInput(
            f"{path.name} cannot be decoded",
            found=str(error) or type(error).__name__,
            next_step="replace the file; it is truncated or damaged",
        ) from error


def _readable() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise InvalidInput(
            f"{path.name} is not a file", found="a folder" if path.is_dir() else "nothing there"
        )
    if path.stat().st_size == 0:
        raise InvalidInput(f"{path.name} is empty", found="0 bytes", next_step="replace the file")


def _check_size(path: Path, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(path, f"{image.width}x{image.height} pixels")


def _too_large(path: Path, found: str) -> InvalidInput:
    return InvalidInput(
        f"{path.name} is too large to decode",
        found=found,
        next_step=f"at most {MAX_PIXELS} pixels are decoded; scale the picture down",
    )


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(len(_LFS_PREFIX))
    if start == _LFS_PREFIX:
        return "a Git-LFS pointer; fetch the real file with git lfs pull"
    return f"a file that begins with {start[:16]!r}"


def _eight_bit(image: Image.Image, path: Path) -> Image.Image:
    if image.mode in _SIXTEEN_BIT:
        high = np.asarray(image).astype(np.uint16) >> 8
        return Image.fromarray(high.astype(np.uint8))
    if image.mode in ("I", "F"):
        raise InvalidInput(
            f"{path.name} holds 32-bit values, not pixels of 0..255",
            found=f"mode {image.mode}",
            next_step="save it with 8 bits a channel",
        )
    return image


def _as_srgb(image: Image.Image, profile: bytes | None, path: Path) -> Image.Image:
    """Convert by the embedded profile (little CMS, perceptual intent); without one: as stored."""
    if not profile:
        return image
    flat = image if image.mode in ("L", "RGB", "RGBA", "CMYK") else image.convert("RGBA")
    target = "RGBA" if flat.mode == "RGBA" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            flat, source, ImageCms.createProfile("sRGB"), outputMode=target
        )
    except (ImageCms.PyCMSError, OSError) as error:
        raise InvalidInput(
            f"{path.name}: the colour profile cannot be applied",
            found=str(error),
            next_step="remove the profile, or set color_profile = 'as_stored'",
        ) from error
    assert converted is not None  # None is returned for in-place conversion only
    return converted


def _has_alpha(image: Image.Image) -> bool:
    return image.has_transparency_data


def _rgb(image: Image.Image, alpha: _Alpha) -> NDArray[np.uint8]:
    if not _has_alpha(image):
        return np.array(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)
    rgba = np.asarray(image.convert("RGBA"))
    if alpha == "drop":
        return np.ascontiguousarray(rgba[:, :, :3])
    return composite(rgba, alpha)


def composite(rgba: NDArray[np.uint8], background: tuple[int, int, int]) -> NDArray[np.uint8]:
    """``(color * a + background * (255 - a) + 127) // 255`` in whole numbers.

    Args:
        rgba: uint8 [H, W, 4], alpha not premultiplied.
        background: red, green, blue in 0..255.

    Returns:
        uint8 [H, W, 3].
    """
    color = rgba[:, :, :3].astype(np.uint32)
    opacity = rgba[:, :, 3:].astype(np.uint32)
    behind = np.array(background, dtype=np.uint32)
    mixed = (color * opacity + behind * (255 - opacity) + 127) // 255
    return mixed.astype(np.uint8)


def _profile_name(profile: bytes | None) -> str | None:
    """Description of an ICC profile; an unreadable one is named as such."""
    if not profile:
        return None
    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip()
    except (ImageCms.PyCMSError, OSError):
        return "unreadable profile"
