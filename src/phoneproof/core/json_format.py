"""Reading and writing the project's JSON: canonical bytes for hashing, indented text for people."""

from __future__ import annotations

import hashlib
from typing import TypeVar

import msgspec

from phoneproof.core.errors import InvalidInput

T = TypeVar("T")


def canonical_bytes(value: object) -> bytes:
    """Compact JSON with sorted keys: equal values give equal bytes."""
    return msgspec.json.encode(value, order="sorted")


def content_hash(value: object) -> str:
    """sha256 (hex) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def pretty_bytes(value: object) -> bytes:
    """JSON with two-space indentation, fields in declared order, and a final newline."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def parse(data: bytes | str, kind: type[T], *, what: str) -> T:
    """Decode JSON into `kind`.

    Raises:
        InvalidInput: the text is not JSON or does not fit `kind`; `what` names it to the user.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{what} cannot be read", found=str(error)) from error
