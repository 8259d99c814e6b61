"""Finding the images of a folder, and learning whether each can be read."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, UnidentifiedImageError

from phoneproof.core.errors import InvalidInput
from phoneproof.core.events import Progress, silent

IMAGE_SUFFIXES: Final = frozenset(
    {
        ".avif",
        ".bmp",
        ".gif",
        ".jpeg",
        ".jpg",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    }
)
IMAGE_FORMATS: Final = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM", "AVIF")
"""What Pillow may try: its rarer parsers are not offered files from strangers. MPO, a JPEG with
more pictures behind the first, is opened as JPEG."""

MAX_FILE_BYTES: Final = 512 << 20
"""An image file is read whole to hash it; no photograph comes near half a GiB."""

MAX_PIXELS: Final = 89_478_485
"""Pillow's own warning limit against decompression bombs: 1 GiB of RGBA / 4 / 3."""

HASH_THREADS: Final = 2
"""Reading waits for the disk while hashing uses a core; more threads only fight over both."""

_EXIF_ORIENTATION: Final = 0x0112
_LFS_PREFIX: Final = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadableImage:
    """An image that opens. size: [height, width] of the oriented picture."""

    name: str
    path: Path
    sha256: str
    size: tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class UnreadableImage:
    """An image file that cannot be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFile:
    """A file that by its name is an image. name: POSIX path inside the data set."""

    name: str
    path: Path


def list_images(root: Path) -> tuple[ImageFile, ...]:
    """Every image file below a folder (or the file itself), by name; hidden ones are left out.

    Raises:
        InvalidInput: there is no such file or folder.
    """
    if root.is_file():
        return (ImageFile(name=root.name, path=root),)
    if not root.is_dir():
        raise InvalidInput(
            f"no such image folder: {root}", next_step="check the path in [data] or --images"
        )
    return tuple(sorted(_walk(root), key=lambda file: file.name))


def _walk(root: Path) -> Iterator[ImageFile]:
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if is_image_name(name):
                yield ImageFile(name=path.relative_to(root).as_posix(), path=path)


def is_image_name(name: str) -> bool:
    """Whether a file name is that of an image we read (hidden files are not)."""
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES


def read_all(
    files: tuple[ImageFile, ...], progress: Progress = silent
) -> tuple[tuple[ReadableImage, ...], tuple[UnreadableImage, ...]]:
    """Hash and check every file, in order; never raises for a single bad one."""
    good: list[ReadableImage] = []
    bad: list[UnreadableImage] = []
    Image.init()  # register every format before threads ask for them
    with warnings.catch_warnings(), ThreadPoolExecutor(HASH_THREADS) as pool:
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata; the pixels are what counts
        for done, outcome in enumerate(pool.map(read_one, files), start=1):
            if isinstance(outcome, ReadableImage):
                good.append(outcome)
            else:
                bad.append(outcome)
            progress(done, len(files))
    return tuple(good), tuple(bad)


def read_one(file: ImageFile) -> ReadableImage | UnreadableImage:
    """Hash one file and check that it is an image of a reasonable size."""
    try:
        data = _read_bytes(file.path)
        size = _check_image(data)
    except Exception as error:  # Pillow's parsers raise anything on hostile bytes
        return UnreadableImage(name=file.name, reason=_reason(error))
    digest = hashlib.sha256(data).hexdigest()
    return ReadableImage(name=file.name, path=file.path, sha256=digest, size=size)


def _read_bytes(path: Path) -> bytes:
    length = path.stat().st_size
    if length == 0:
        raise ValueError("zero bytes")
    if length > MAX_FILE_BYTES:
        raise ValueError(f"{length} bytes, more than the {MAX_FILE_BYTES} an image may have")
    data = path.read_bytes()
    if data.startswith(_LFS_PREFIX):
        raise ValueError("a Git-LFS pointer, not the image (run git lfs pull)")
    return data


def _check_image(data: bytes) -> tuple[int, int]:
    """Oriented [height, width] of an intact image; raises what Pillow raises, or ValueError."""
    with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width} x {height} pixels, more than the {MAX_PIXELS} allowed")
        is_jpeg = image.format in ("JPEG", "MPO")
        turned = is_jpeg and image.getexif().get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
        # verify() checks a PNG's checksums without inflating it. It does nothing for other
        # formats, but a JPEG that ends with its end-of-image marker was not cut short, and
        # the rest are decoded.
        if image.format == "PNG":
            image.verify()
        elif not (is_jpeg and data.rstrip(b"\0").endswith(b"\xff\xd9")):
            image.load()
    return (width, height) if turned else (height, width)


def _reason(error: Exception) -> str:
    """Why, without the path or memory address that Pillow and the system put in."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format, or its header is cut short"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than the {MAX_PIXELS} pixels allowed"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return str(error) or type(error).__name__
