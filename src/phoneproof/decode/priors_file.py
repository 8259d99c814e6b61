"""Priors from a user's file."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import PriorAnchors
from phoneproof.core.errors import InvalidInput, StorageError
from phoneproof.decode.priors import pack_priors

SUFFIXES: Final = (".npy", ".csv", ".f32")
MOST_BYTES: Final = 128 << 20
"""A million rows as text."""


def read_priors(path: Path) -> PriorAnchors:
    """Rows cx, cy, w, h of ``.npy``, ``.csv`` (a first line of names is left out) or ``.f32``.

    ``.f32`` is little-endian float32, row after row. Nothing in a file is ever executed: NumPy
    files that hold Python objects are refused.

    Raises:
        InvalidInput: another kind of file, too large, or no rows of four finite numbers.
        StorageError: it cannot be read.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise _unusable(path, f"suffix {path.suffix!r}")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _unusable(path, f"{path.stat().st_size} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path.name} cannot be read", found=str(error)) from error
    return pack_priors(_rows(path, data))


def _rows(path: Path, data: bytes) -> NDArray[Any]:
    try:
        if path.suffix.lower() == ".f32":
            return np.frombuffer(data, "<f4").reshape(-1, 4)
        if path.suffix.lower() == ".csv":
            return _text_rows(data.decode("utf-8-sig"))
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError, csv.Error) as error:
        raise _unusable(path, str(error).partition("\n")[0]) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise _unusable(path, "something else than an array of numbers")
    return array


def _text_rows(text: str) -> NDArray[np.float64]:
    lines = [line for line in csv.reader(text.splitlines()) if line]
    if lines and not _is_number(lines[0][0]):
        lines = lines[1:]
    return np.array([[float(value) for value in line] for line in lines], np.float64)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _unusable(path: Path, found: str) -> InvalidInput:
    return InvalidInput(
        f"{path.name} holds no priors",
        found=found,
        next_step="give a .npy, .csv or .f32 file of rows cx, cy, w, h",
    )
