"""What a Core ML model says of itself, read straight from protobuf's wire format.

A bundle is verified where nobody needs coremltools; contract, binding and the kind of image input
can be read there too. Wire format: https://protobuf.dev/programming-guides/encoding. Fields:
``Model.proto`` and ``FeatureTypes.proto`` of coremltools.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from phoneproof.core.contract import Channels
from phoneproof.core.errors import InvalidInput
from phoneproof.formats.coreml.file import spec_file

_DESCRIPTION: Final = 2  # of Model
_INPUT: Final = 1  # of ModelDescription
_METADATA: Final = 100
_USER_DEFINED: Final = 100  # of Metadata: a map of text to text
_KEY: Final = 1
_VALUE: Final = 2
_TYPE: Final = 3  # of FeatureDescription
_IMAGE: Final = 4  # of FeatureType
_COLOUR: Final = 3  # of ImageFeatureType
_CHANNELS: Final[dict[int, Channels]] = {10: "gray", 20: "rgb", 30: "bgr"}
"""ImageFeatureType.ColorSpace."""

_VARINT: Final = 0
_BYTES: Final = 2
_FIXED: Final = {1: 8, 5: 4}
"""Wire types of a fixed length."""


def read_user_metadata(path: Path) -> dict[str, bytes]:
    """The user-defined metadata of a ``.mlpackage`` or ``.mlmodel``: key -> text in UTF-8.

    Raises:
        InvalidInput: not a Core ML model, or damaged.
    """
    with _damage_named(path) as data:
        entries = _within(data, _DESCRIPTION, _METADATA, _USER_DEFINED)
        return {_last(entry, _KEY).decode(): _last(entry, _VALUE) for entry in entries}


def read_image_channels(path: Path) -> tuple[Channels | None, ...]:
    """Of each image input the order of its channels; null for one that no contract has.

    Raises:
        InvalidInput: not a Core ML model, or damaged.
    """
    with _damage_named(path) as data:
        images = _within(data, _DESCRIPTION, _INPUT, _TYPE, _IMAGE)
        return tuple(_CHANNELS.get(_number(image, _COLOUR)) for image in images)


@contextmanager
def _damage_named(path: Path) -> Iterator[memoryview]:
    try:
        yield memoryview(spec_file(path).read_bytes())
    except (IndexError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"{path.name} is not a Core ML model, or it is damaged", found=str(error)
        ) from error


def _within(data: memoryview, *path: int) -> list[memoryview]:
    """Every message at the end of a path of fields."""
    found = [data]
    for field in path:
        found = [
            value
            for message in found
            for number, value in _fields(message)
            if number == field and isinstance(value, memoryview)
        ]
    return found


def _last(message: memoryview, field: int) -> bytes:
    """A text field; protobuf's rule is that the last one counts, and none is empty."""
    return bytes(next(iter(reversed(_within(message, field))), b""))


def _number(message: memoryview, field: int) -> int:
    """A field of a whole number; none is 0."""
    found = [v for number, v in _fields(message) if number == field and isinstance(v, int)]
    return found[-1] if found else 0


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field, value) of one message: a number, or the bytes of text, message or fixed width.

    Raises:
        IndexError: the message ends inside a value, or holds what no message does.
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        field, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield field, value
            continue
        if kind != _BYTES and kind not in _FIXED:
            raise IndexError(f"wire type {kind} at byte {at}")
        size, at = _varint(data, at) if kind == _BYTES else (_FIXED[kind], at)
        if size > len(data) - at:
            raise IndexError(f"a value of {size} bytes at {at} of {len(data)}")
        yield field, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of up to ten groups of seven bits, lowest first, and where it ends."""
    value = 0
    for group in range(10):
        byte = data[at + group]
        value |= (byte & 0x7F) << (7 * group)
        if byte < 0x80:
            return value, at + group + 1
    raise IndexError(f"a number without end at byte {at}")
