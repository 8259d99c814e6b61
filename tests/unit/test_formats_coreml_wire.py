"""Core ML metadata without coremltools: protobuf's wire format, and what is not it."""

from __future__ import annotations

from pathlib import Path

import pytest

from phoneproof.core.errors import InvalidInput
from phoneproof.formats.coreml.wire import read_image_channels, read_user_metadata


def varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def entry(key: str, value: str) -> bytes:
    return field(100, field(1, key.encode()) + field(2, value.encode()))


def model(tmp_path: Path, *entries: bytes) -> Path:
    """A model message with numbers and fields of other kinds around the metadata."""
    metadata = field(1, b"a sentence") + b"".join(entries)
    description = field(1, b"input") + field(100, metadata)
    odd = varint(9 << 3 | 1) + bytes(8) + varint(9 << 3 | 5) + bytes(4)
    data = varint(1 << 3) + varint(300) + odd + field(2, description) + field(502, b"program")
    path = tmp_path / "model.mlmodel"
    path.write_bytes(data)
    return path


def test_entries_are_found_between_everything_else(tmp_path: Path) -> None:
    long = "x" * 70_000
    path = model(tmp_path, entry("one", "été"), entry("two", long))
    assert read_user_metadata(path) == {"one": "été".encode(), "two": long.encode()}


def test_the_last_value_of_a_field_counts_and_none_is_empty(tmp_path: Path) -> None:
    twice = field(100, field(1, b"key") + field(2, b"old") + field(2, b"new"))
    bare = field(100, field(1, b"bare"))
    assert read_user_metadata(model(tmp_path, twice, bare)) == {"key": b"new", "bare": b""}


def test_a_model_without_metadata_has_none(tmp_path: Path) -> None:
    assert read_user_metadata(model(tmp_path)) == {}


@pytest.mark.parametrize("missing", range(11, 40, 7))
def test_a_truncated_file_is_refused(tmp_path: Path, missing: int) -> None:
    path = model(tmp_path, entry("key", "value"))
    path.write_bytes(path.read_bytes()[:-missing])  # 10 bytes follow the description
    with pytest.raises(InvalidInput, match="damaged"):
        read_user_metadata(path)


@pytest.mark.parametrize(
    "data", [b"\xff" * 40, field(2, b"\x0b"), field(2, varint(100 << 3 | 2) + b"\xff\x7f")]
)
def test_what_is_no_message_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.mlmodel"
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match=r"model\.mlmodel is not a Core ML model"):
        read_user_metadata(path)


def test_a_key_that_is_no_text_is_refused(tmp_path: Path) -> None:
    broken = field(100, field(1, b"\xff\xfe") + field(2, b"value"))
    with pytest.raises(InvalidInput, match="damaged"):
        read_user_metadata(model(tmp_path, broken))


def feature(kind: int, data: bytes) -> bytes:
    """One input: an image (kind 4) or an array (kind 5)."""
    return field(1, field(1, b"image") + field(3, field(kind, data)))


def test_image_inputs_say_their_order_of_channels(tmp_path: Path) -> None:
    path = tmp_path / "model.mlmodel"
    sides = varint(1 << 3) + varint(640) + varint(2 << 3) + varint(480)
    inputs = [feature(4, sides + varint(3 << 3) + varint(colour)) for colour in (10, 20, 30, 99)]
    path.write_bytes(field(2, b"".join([feature(5, b""), *inputs]) + feature(4, sides)))
    assert read_image_channels(path) == ("gray", "rgb", "bgr", None, None)
