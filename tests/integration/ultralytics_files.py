"""Changed copies of a real checkpoint: each differs from it in exactly one thing."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

Edit = Callable[[bytes], bytes]


def changed(
    source: Path, target: Path, edit: Edit | None = None, storages: Mapping[str, Edit] | None = None
) -> Path:
    """Copy a checkpoint; `edit` changes its pickle, `storages` its weights by storage key."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for info in before.infolist():
            data = before.read(info)
            key = info.filename.partition("/data/")[2]
            if edit is not None and info.filename.endswith("/data.pkl"):
                data = _differs(data, edit(data))
            elif storages and key in storages:
                data = _differs(data, storages[key](data))
            after.writestr(info.filename, data)
    return target


def text_replaced(old: str, new: str) -> Edit:
    """Replace a pickled text (protocol 2: opcode X, four length bytes, UTF-8)."""
    return lambda data: data.replace(pickled(old), pickled(new))


def float_replaced(old: float, new: float) -> Edit:
    """Replace a pickled float (opcode G, big-endian double)."""
    return lambda data: data.replace(b"G" + struct.pack(">d", old), b"G" + struct.pack(">d", new))


def class_replaced(old: str, new: str) -> Edit:
    """Replace a pickled class, each given as "module name"."""
    return lambda data: data.replace(_global(old), _global(new))


def pickled(text: str) -> bytes:
    """A text as protocol 2 writes it, without its memo number."""
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _global(text: str) -> bytes:
    module, _, name = text.partition(" ")
    return f"c{module}\n{name}\n".encode()


def _differs(before: bytes, after: bytes) -> bytes:
    assert before != after, "the edit changed nothing"
    return after
