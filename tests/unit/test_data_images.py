"""Which images count: reading, bad files, duplicates, order."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from phoneproof.core.errors import InvalidInput
from phoneproof.data.files import (
    IMAGE_SUFFIXES,
    ImageFile,
    ReadableImage,
    UnreadableImage,
    list_images,
    read_one,
)
from phoneproof.data.load import load_images
from tests.unit.data_sets import load, picture, write


def huge_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims enormous dimensions."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


def test_images_are_found_below_and_sorted_by_their_hash(tmp_path: Path) -> None:
    contents = {"a.png": picture(1), "deep/er/b.png": picture(2), "c.JPG": picture(3)}
    for name, content in contents.items():
        write(tmp_path / name, content)

    images = load(tmp_path, task="raw")

    assert {item.name: item.sha256 for item in images.items} == {
        name: hashlib.sha256(content).hexdigest() for name, content in contents.items()
    }
    assert [item.sha256 for item in images.items] == sorted(item.sha256 for item in images.items)
    assert images.skipped == ()
    assert not images.labelled


def test_the_same_images_under_other_names_have_the_same_reference(tmp_path: Path) -> None:
    for index in range(5):
        write(tmp_path / "one" / f"{index}.png", picture(index))
        write(tmp_path / "two" / f"x{9 - index}.png", picture(index))
    assert load(tmp_path / "one").ref == load(tmp_path / "two").ref
    write(tmp_path / "two" / "more.png", picture(7))
    assert load(tmp_path / "one").ref != load(tmp_path / "two").ref


def test_a_single_file_is_a_set_of_one(tmp_path: Path) -> None:
    path = write(tmp_path / "one.png", picture())
    assert [item.name for item in load(path).items] == ["one.png"]


def test_hidden_files_and_other_files_are_not_images(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture())
    for name in (".DS_Store", "._a.png", ".hidden/b.png", "notes.txt", "Thumbs.db", "model.onnx"):
        write(tmp_path / name, picture(9))
    images = load(tmp_path)
    assert [item.name for item in images.items] == ["a.png"]
    assert images.skipped == ()


BAD = {
    "zero.png": (b"", "zero bytes"),
    "text.jpg": (b"this is not a picture at all", "not an image"),
    "header.jpg": (picture(1, format_="JPEG")[:20], ""),
    "half.jpg": (picture(1, format_="JPEG", size=(200, 200))[:4000], "truncated"),
    "half.png": (picture(1, size=(200, 200))[:4000], ""),
    "half.bmp": (picture(1, format_="BMP", size=(200, 200))[:4000], "truncated"),
    "half.webp": (picture(1, format_="WEBP", size=(200, 200))[:4000], ""),
    "huge.png": (huge_png(60_000, 60_000), "pixels"),
    "large.png": (huge_png(10_000, 10_000), "pixels"),
    "lfs.jpg": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
        "Git-LFS pointer",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_an_image_that_cannot_be_used_is_skipped_with_the_reason(tmp_path: Path, name: str) -> None:
    content, reason = BAD[name]
    write(tmp_path / "good.png", picture())
    write(tmp_path / name, content)

    images = load(tmp_path)

    assert [item.name for item in images.items] == ["good.png"]
    [(skipped, why)] = images.skipped
    assert skipped == name
    assert why
    assert reason in why
    assert str(tmp_path) not in why


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM"])
def test_every_intact_format_is_read(tmp_path: Path, format_: str) -> None:
    path = write(tmp_path / "a.png", picture(format_=format_, size=(30, 20)))
    outcome = read_one(ImageFile(name="a.png", path=path))
    assert isinstance(outcome, ReadableImage)
    assert outcome.size == (20, 30)


def test_a_jpeg_with_bytes_after_its_end_is_intact(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", picture(format_="JPEG") + b"appended by a camera")
    assert isinstance(read_one(ImageFile(name="a.jpg", path=path)), ReadableImage)


def test_size_is_that_of_the_oriented_picture(tmp_path: Path) -> None:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(stream, format="JPEG", exif=exif)
    path = write(tmp_path / "a.jpg", stream.getvalue())
    outcome = read_one(ImageFile(name="a.jpg", path=path))
    assert isinstance(outcome, ReadableImage)
    assert outcome.size == (30, 20)


def test_a_file_that_vanishes_is_unreadable(tmp_path: Path) -> None:
    outcome = read_one(ImageFile(name="gone.png", path=tmp_path / "gone.png"))
    assert isinstance(outcome, UnreadableImage)
    assert "No such file" in outcome.reason


def test_the_same_bytes_count_once(tmp_path: Path) -> None:
    write(tmp_path / "cat" / "a.png", picture(1))
    write(tmp_path / "cat" / "b.png", picture(1))
    write(tmp_path / "dog" / "c.png", picture(2))
    images = load(tmp_path, ("cat", "dog"))
    assert sorted(item.name for item in images.items) == ["cat/a.png", "dog/c.png"]
    assert images.skipped == (("cat/b.png", "the same bytes as cat/a.png"),)


def test_the_same_bytes_with_another_label_are_reported(tmp_path: Path) -> None:
    write(tmp_path / "cat" / "a.png", picture(1))
    write(tmp_path / "dog" / "b.png", picture(1))
    images = load(tmp_path, ("cat", "dog"))
    [(name, why)] = images.skipped
    assert name == "dog/b.png"
    assert "labelled differently" in why


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such image folder"):
        load(tmp_path / "missing")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no images in"):
        load(tmp_path)


def test_a_folder_of_broken_images_only(tmp_path: Path) -> None:
    write(tmp_path / "zero.png", b"")
    write(tmp_path / "text.png", b"text")
    with pytest.raises(InvalidInput, match="2 left out") as caught:
        load(tmp_path)
    assert "zero.png: zero bytes" in caught.value.found


def test_progress_ends_at_the_number_of_files(tmp_path: Path) -> None:
    for index in range(3):
        write(tmp_path / f"{index}.png", picture(index))
    seen: list[tuple[int, int]] = []
    load_images(
        tmp_path,
        contract_labels=(),
        task="raw",
        class_index=lambda number: number,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_listing_knows_upper_case_suffixes(tmp_path: Path) -> None:
    for suffix in IMAGE_SUFFIXES:
        write(tmp_path / f"a{suffix.upper()}", b"")
    assert len(list_images(tmp_path)) == len(IMAGE_SUFFIXES)
