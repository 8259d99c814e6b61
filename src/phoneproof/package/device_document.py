"""Reading a device's results: an untrusted document that somebody carried here from a phone."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec

from phoneproof.core.device_results import SCHEMA, DeviceResults
from phoneproof.core.errors import InvalidInput
from phoneproof.core.json_format import parse

MAX_BYTES = 1 << 29
"""Half a gigabyte: a detector of 640 pixels on four compute units takes 20 MB."""

_FAMILY, _VERSION = SCHEMA.rsplit("/", 1)


class _Head(msgspec.Struct, frozen=True):
    schema: str


def read_device_results(path: Path) -> tuple[DeviceResults, bytes, str]:
    """The document, its bytes and their sha256.

    Raises:
        InvalidInput: no such file, too large, not JSON (NaN is not), another schema or another
            version of it, or a field that is missing, unknown or impossible; it is named.
    """
    data = _bytes(path)
    head = parse(data, _Head, what=path.name).schema
    if head != SCHEMA:
        raise _other_schema(path, head)
    document = parse(data, DeviceResults, what=path.name)
    return document, data, hashlib.sha256(data).hexdigest()


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidInput(
                f"{path.name} is too large for device results",
                found=f"{path.stat().st_size / 1e6:.0f} MB",
            )
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"the device results {path} cannot be read",
            found=error.strerror or str(error),
            next_step="name the device-results.json that the kit or the app's self-test wrote",
        ) from error


def _other_schema(path: Path, found: str) -> InvalidInput:
    step = "name the device-results.json that the kit or the app's self-test wrote"
    version = re.fullmatch(re.escape(_FAMILY) + r"/(\d{1,9})", found)
    if version is not None:
        newer = int(version[1]) > int(_VERSION)
        step = (
            "install a newer phoneproof"
            if newer
            else "run the kit of this bundle again: its program writes what this version reads"
        )
    return InvalidInput(
        f"{path.name} has a schema that this version does not read",
        found=f"{found[:80]}; known: {SCHEMA}",
        next_step=step,
    )
