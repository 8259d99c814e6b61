"""Predictions on disk: written as they come, read as often as wanted.

``predictions.bin`` (integers little-endian)::

    "PPRED001"
    per prediction:  length u32, CRC-32 u32, msgpack record with raw little-endian arrays
    length 0 u32, number of predictions u64, "PPREDEND"

``roles/<sha256>.<role>.npy`` hold the canonical outputs that were kept; they are mapped into
memory when they are looked at. Equal predictions give equal bytes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from phoneproof.core.errors import InvalidInput, StorageError
from phoneproof.runtimes.base import Float
from phoneproof.runtimes.predict import Prediction
from phoneproof.runtimes.prediction_record import PredictionRecord, pack, unpack

FILE = "predictions.bin"
ROLES = "roles"

_MAGIC = b"PPRED001"
_END = b"PPREDEND"
_HEAD = struct.Struct("<II")
_TAIL = struct.Struct("<IQ8s")
_PLAIN = re.compile(r"[0-9A-Za-z_-]{1,80}")


def write_predictions(folder: Path, predictions: Iterable[Prediction]) -> None:
    """Write a store into `folder` (made where missing), replacing one that is there.

    Nothing is seen under the final names before everything is written; when anything fails,
    also in `predictions`, what was written is removed and an older store is left as it was.

    Raises:
        StorageError: the disk is full, or the folder cannot be written.
    """
    with _disk(folder, "written"):
        made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    file, roles = folder / f".{FILE}.partial", folder / f".{ROLES}.partial"
    try:
        with _disk(folder, "written"):
            _remove(file, roles)
            roles.mkdir()
        _write_all(file, roles, predictions)
        with _disk(folder, "written"):
            _put_in_place(folder, file, roles)
    except BaseException:
        _remove(file, roles)
        for parent in made:
            _remove_if_empty(parent)
        raise


def read_predictions(folder: Path) -> StoredPredictions:
    """Open a store.

    Raises:
        InvalidInput: there is no store, or it is truncated or of another version.
        StorageError: it cannot be read.
    """
    return StoredPredictions(folder)


class StoredPredictions:
    """A store that was opened: iterate as often as wanted; one prediction is in memory at a time.

    Iterating raises InvalidInput at a record that was damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with _disk(folder, "read"):
            self._count = _count(folder / FILE)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Prediction]:
        path = self._folder / FILE
        with _disk(self._folder, "read"), path.open("rb") as file:
            file.seek(len(_MAGIC))
            for _ in range(self._count):
                record = _record(file, path)
                yield unpack(record, self._roles(record))
            if file.read() != _TAIL.pack(0, self._count, _END):
                raise _damaged(path, "records after the last one")

    def _roles(self, record: PredictionRecord) -> StoredRoles | None:
        if record.roles is None:
            return None
        return StoredRoles(self._folder / ROLES, record.sha256, record.roles)


class StoredRoles(Mapping[str, Float]):
    """Canonical outputs in files; each is mapped into memory when it is looked up."""

    def __init__(self, folder: Path, sha256: str, names: tuple[str, ...]) -> None:
        self._files = {name: folder / _file_name(sha256, name) for name in names}

    def __getitem__(self, name: str) -> Float:
        path = self._files[name]
        try:
            try:
                array: Float = np.load(path, mmap_mode="r", allow_pickle=False)
            except ValueError:  # what is empty cannot be mapped
                array = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise _damaged(path, str(error)) from error
        if not isinstance(array, np.ndarray) or array.dtype != np.float32:
            raise _damaged(path, "not a float32 array")
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _write_all(file: Path, roles: Path, predictions: Iterable[Prediction]) -> None:
    """Only writing is guarded: an error of `predictions` itself goes through unchanged."""
    with _disk(file.parent, "written"):
        out = file.open("wb")
    try:
        count = 0
        out.write(_MAGIC)  # buffered: the disk is not touched yet
        for prediction in predictions:
            with _disk(file.parent, "written"):
                _write_one(out, roles, prediction)
            count += 1
        with _disk(file.parent, "written"):
            out.write(_TAIL.pack(0, count, _END))
            out.flush()
            os.fsync(out.fileno())
    finally:
        # All was flushed, or an error is on its way that says more than this one.
        with suppress(OSError):
            out.close()


def _write_one(out: BinaryIO, roles: Path, prediction: Prediction) -> None:
    data = msgspec.msgpack.encode(pack(prediction))
    out.write(_HEAD.pack(len(data), zlib.crc32(data)))
    out.write(data)
    for name, array in (prediction.roles or {}).items():
        path = roles / _file_name(prediction.sha256, name)
        np.save(path, np.ascontiguousarray(array, "<f4"), allow_pickle=False)


def _put_in_place(folder: Path, file: Path, roles: Path) -> None:
    """The record file comes last: without it there is no store, never a mixed one."""
    (folder / FILE).unlink(missing_ok=True)
    _remove(folder / ROLES)
    if any(roles.iterdir()):
        roles.replace(folder / ROLES)
    else:
        roles.rmdir()
    file.replace(folder / FILE)


def _count(path: Path) -> int:
    if not path.is_file():
        raise InvalidInput(
            "there are no stored predictions",
            found=f"no {FILE} in {path.parent}",
            next_step="run the build again",
        )
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise _damaged(path, "not a file of predictions of this version")
        if size < len(_MAGIC) + _TAIL.size:
            raise _damaged(path, f"truncated to {size} bytes")
        file.seek(-_TAIL.size, os.SEEK_END)
        zero, count, end = _TAIL.unpack(file.read(_TAIL.size))
    if end != _END or zero != 0 or count * _HEAD.size > size:
        raise _damaged(path, "truncated")
    return int(count)


def _record(file: BinaryIO, path: Path) -> PredictionRecord:
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise _damaged(path, "truncated")
    length, checksum = _HEAD.unpack(head)
    # A damaged length must not make Python reserve gigabytes.
    data = file.read(min(length, os.fstat(file.fileno()).st_size))
    if len(data) != length or zlib.crc32(data) != checksum:
        raise _damaged(path, "a record whose checksum is wrong")
    try:
        return msgspec.msgpack.decode(data, type=PredictionRecord)
    except msgspec.DecodeError as error:
        raise _damaged(path, str(error)) from error


def _file_name(sha256: str, role: str) -> str:
    """Readable where the parts are plain; tensor names with slashes and the like are hashed."""
    parts = [
        part if _PLAIN.fullmatch(part) else "x" + hashlib.sha256(part.encode()).hexdigest()[:24]
        for part in (sha256, role)
    ]
    return ".".join((*parts, "npy"))


@contextmanager
def _disk(folder: Path, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError.of(f"predictions cannot be {done} in {folder}", error) from error


def _remove(*paths: Path) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _damaged(path: Path, found: str) -> InvalidInput:
    return InvalidInput(
        f"stored predictions are damaged ({path.name})",
        found=found,
        next_step="delete the folder and run the build again",
    )
