"""The user-defined metadata of a Core ML model, read straight from protobuf's wire format.

A bundle is verified where nobody needs coremltools; contract and binding can be read there too.
Wire format: https://protobuf.dev/programming-guides/encoding. Fields: ``Model.proto`` and
``FeatureTypes.proto`` of coremltools (Model.description = 2, ModelDescription.metadata = 100,
Metadata.userDefined = 100, a map of text to text).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from phoneproof.core.errors import InvalidInput
from phoneproof.formats.coreml.file import spec_file

_DESCRIPTION: Final = 2
_METADATA: Final = 100
_USER_DEFINED: Final = 100
_KEY: Final = 1
_VALUE: Final = 2

_VARINT: Final = 0
_BYTES: Final = 2
_FIXED: Final = {1: 8, 5: 4}
"""Wire types of a fixed length."""


def read_user_metadata(path: Path) -> dict[str, bytes]:
    """Key -> text in UTF-8, of a ``.mlpackage`` or a ``.mlmodel``; empty where there is none.

    Raises:
        InvalidInput: not a Core ML model, or damaged.
    """
    data = memoryview(spec_file(path).read_bytes())
    try:
        entries = [
            entry
            for description in _messages(data, _DESCRIPTION)
            for metadata in _messages(description, _METADATA)
            for entry in _messages(metadata, _USER_DEFINED)
        ]
        return {_last(entry, _KEY).decode(): _last(entry, _VALUE) for entry in entries}
    except (IndexError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"{path.name} is not a Core ML model, or it is damaged", found=str(error)
        ) from error


def _last(message: memoryview, field: int) -> bytes:
    """A text field; protobuf's rule is that the last one counts, and none is empty."""
    found = b""
    for part in _messages(message, field):
        found = bytes(part)
    return found


def _messages(data: memoryview, field: int) -> Iterator[memoryview]:
    """The values of a field of lengths (messages, texts) in one message.

    Raises:
        IndexError: the message ends inside a value, or holds what no message does.
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            _, at = _varint(data, at)
            continue
        if kind != _BYTES and kind not in _FIXED:
            raise IndexError(f"wire type {kind} at byte {at}")
        size, at = _varint(data, at) if kind == _BYTES else (_FIXED[kind], at)
        if size > len(data) - at:
            raise IndexError(f"a value of {size} bytes at {at} of {len(data)}")
        if kind == _BYTES and tag >> 3 == field:
            yield data[at : at + size]
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
