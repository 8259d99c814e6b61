"""Picture files: every orientation, mode and kind of damage."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from phoneproof.core.errors import InvalidInput
from phoneproof.core.presets import preset_input
from phoneproof.pixels.image import MAX_PIXELS, image_traits, read_image
from tests.assets import asset

SPEC = preset_input("ultralytics.detect", (64, 64))
IGNORING = msgspec.structs.replace(SPEC, orientation="ignore")
SRGB = msgspec.structs.replace(SPEC, color_profile="srgb")
Array = NDArray[np.uint8]


def _numbered(height: int = 3, width: int = 5) -> Array:
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


def _as_seen(stored: Array, orientation: int) -> Array:
    """EXIF 2.3: where row 0 and column 0 of the stored picture are when it is looked at."""
    seen = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(stored, 1),
    }
    return np.ascontiguousarray(seen[orientation])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(_numbered()).save(path, exif=exif)
    assert np.array_equal(read_image(path, SPEC), _as_seen(_numbered(), orientation))
    assert np.array_equal(read_image(path, IGNORING), _numbered())
    traits = image_traits(path)
    assert traits.exif_rotated == (orientation != 1)
    assert (traits.height, traits.width) == (3, 5)


def test_a_rotation_that_is_missed_is_seen() -> None:
    """The control: all eight orientations of an asymmetric picture differ."""
    seen = {_as_seen(_numbered(), orientation).tobytes() for orientation in range(1, 9)}
    assert len(seen) == 8


def test_gray_palette_and_single_bit(tmp_path: Path) -> None:
    gray = _numbered()[:, :, 0]
    Image.fromarray(gray).save(tmp_path / "l.png")
    assert np.array_equal(read_image(tmp_path / "l.png", SPEC), np.stack([gray] * 3, axis=2))
    colors = Image.fromarray(_numbered()).quantize(15)
    colors.save(tmp_path / "p.png")
    expected = np.asarray(colors.convert("RGB"))
    assert np.array_equal(read_image(tmp_path / "p.png", SPEC), expected)
    Image.fromarray(gray > 20).save(tmp_path / "1.png")
    assert set(np.unique(read_image(tmp_path / "1.png", SPEC))) == {0, 255}


def test_sixteen_bits_keep_the_upper_eight(tmp_path: Path) -> None:
    values = np.array([[0, 255, 256, 511], [512, 32767, 65279, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", SPEC)[:, :, 0].tolist() == [
        [0, 0, 1, 1],
        [2, 127, 254, 255],
    ]


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    image.save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif", SPEC)[0, 0].tolist() == [255, 0, 0]


def test_floats_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InvalidInput, match="32-bit"):
        read_image(tmp_path / "a.tif", SPEC)


def test_alpha_is_dropped_or_composited(tmp_path: Path) -> None:
    pixels = np.array([[[10, 20, 30, 0], [10, 20, 30, 255], [0, 100, 200, 128]]], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    path = tmp_path / "a.png"
    assert read_image(path, SPEC).tolist() == [[[10, 20, 30], [10, 20, 30], [0, 100, 200]]]
    white = msgspec.structs.replace(SPEC, alpha=(255, 255, 255))
    assert read_image(path, white).tolist() == [[[255, 255, 255], [10, 20, 30], [127, 177, 227]]]
    assert image_traits(path).has_alpha


def test_a_transparent_palette_entry_is_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((2, 2), np.uint8), mode=None).convert("P")
    image.putpalette([9, 8, 7, *([0] * 765)])
    image.save(tmp_path / "a.png", transparency=0)
    black = msgspec.structs.replace(SPEC, alpha=(1, 2, 3))
    assert read_image(tmp_path / "a.png", black)[0, 0].tolist() == [1, 2, 3]
    assert read_image(tmp_path / "a.png", SPEC)[0, 0].tolist() == [9, 8, 7]


def test_colour_profiles(tmp_path: Path) -> None:
    plain = asset("images/single/bus.jpg")
    traits = image_traits(plain)
    assert traits.has_icc_other_than_srgb
    assert "P3" in (traits.icc_name or "")
    stored, converted = read_image(plain, SPEC), read_image(plain, SRGB)
    assert stored.shape == converted.shape
    assert 0.5 < np.abs(stored.astype(int) - converted).mean() < 30


def test_an_srgb_profile_is_none_to_speak_of(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(_numbered()).save(tmp_path / "a.png", icc_profile=profile)
    traits = image_traits(tmp_path / "a.png")
    assert traits.icc_name is not None
    assert not traits.has_icc_other_than_srgb
    off = read_image(tmp_path / "a.png", SRGB).astype(int) - _numbered()
    assert np.abs(off).max() <= 1


def test_a_broken_profile_is_reported_only_where_it_matters(tmp_path: Path) -> None:
    Image.fromarray(_numbered()).save(tmp_path / "a.png", icc_profile=b"no profile at all")
    assert np.array_equal(read_image(tmp_path / "a.png", SPEC), _numbered())
    assert image_traits(tmp_path / "a.png").icc_name == "unreadable profile"
    with pytest.raises(InvalidInput, match="colour profile"):
        read_image(tmp_path / "a.png", SRGB)


@pytest.mark.parametrize("extension", ["jpg", "png", "bmp", "webp", "gif", "tif"])
def test_a_truncated_picture_is_refused(tmp_path: Path, extension: str) -> None:
    rng = np.random.default_rng(0)
    whole = tmp_path / f"whole.{extension}"
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole)
    assert read_image(whole, SPEC).shape == (64, 64, 3)
    cut = tmp_path / f"cut.{extension}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(InvalidInput):
        read_image(cut, SPEC)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"not a picture", "is not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is not a picture"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git-LFS pointer"),
    ],
)
def test_files_that_are_no_pictures(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    for read in (lambda: read_image(path, SPEC), lambda: image_traits(path)):
        with pytest.raises(InvalidInput, match=message):
            read()


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is not a file"):
        read_image(tmp_path / "none.jpg", SPEC)
    with pytest.raises(InvalidInput, match="folder"):
        read_image(tmp_path, SPEC)


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_picture_of_huge_dimensions_is_refused(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(_png_header(side, side))
    with pytest.raises(InvalidInput, match=f"at most {MAX_PIXELS} pixels"):
        read_image(path, SPEC)
