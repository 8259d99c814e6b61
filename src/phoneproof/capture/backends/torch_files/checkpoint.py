"""The file: a torch zip archive, opened without torch and without running its pickle."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from phoneproof.capture.backends.torch_files.records import (
    ITEM_BYTES,
    StorageRef,
    printable,
)
from phoneproof.capture.backends.torch_files.unpickle import read_pickle
from phoneproof.core.errors import InvalidInput, Unsupported

MAX_PICKLE_BYTES = 64 << 20
"""YOLOv8's data.pkl has 45..150 kB; weights lie outside it."""

LEGACY_MAGIC = bytes.fromhex("8a0a6cfc9c46f920 6aa85019")
"""The long that torch < 1.6 pickles first (after the two protocol bytes)."""

ZIP_ERRORS = (
    zipfile.BadZipFile,
    *(EOFError, NotImplementedError, OSError, RuntimeError, UnicodeDecodeError, ValueError),
    struct.error,
)
"""What zipfile raises on damaged archives."""

FETCH_AGAIN = "fetch the file again and compare its size with the original's"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A checkpoint that was read: the pickle's value, and where its storages lie."""

    path: Path
    root: object
    entries: Mapping[str, zipfile.ZipInfo]

    def check_storages(self, storages: Iterable[StorageRef]) -> None:
        """Compare the sizes that the pickle gives with those of the archive's entries.

        Raises:
            InvalidInput: no such entry, or another size.
        """
        for storage in storages:
            entry = self.entries.get(storage.key)
            expected = storage.numel * ITEM_BYTES[storage.dtype]
            if entry is None or entry.file_size != expected:
                size = "none" if entry is None else f"{entry.file_size} bytes"
                raise InvalidInput(
                    f"{self.path.name}: storage {printable(storage.key)} is not as described",
                    found=f"{size} instead of {expected} bytes",
                    next_step=FETCH_AGAIN,
                )

    def read_storages(self, storages: Iterable[StorageRef]) -> Mapping[StorageRef, bytes]:
        """The raw little-endian bytes of storages, each read once.

        Raises:
            InvalidInput: no such entry, another size than the pickle says, or a wrong checksum.
        """
        wanted = dict.fromkeys(storages)
        self.check_storages(wanted)
        try:
            with zipfile.ZipFile(self.path) as archive:
                return {storage: archive.read(self.entries[storage.key]) for storage in wanted}
        except ZIP_ERRORS as error:
            raise damaged(self.path, error) from error


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint's pickle; the storages stay in the file.

    Raises:
        InvalidInput: empty, a Git-LFS pointer, text, truncated, a zip bomb, or a broken pickle.
        Unsupported: the legacy torch format, TorchScript, or a big-endian file.
    """
    data, prefix, entries = _read_pickle_entry(path)
    start = f"{prefix}data/"
    storages = {name[len(start) :]: e for name, e in entries.items() if name.startswith(start)}
    return Checkpoint(path=path, root=read_pickle(data), entries=MappingProxyType(storages))


def mentions(path: Path, text: bytes) -> bool:
    """Whether a text stands in a checkpoint's pickle, which is not parsed for it.

    Raises:
        InvalidInput, Unsupported: as `read_checkpoint`, but for a broken pickle.
    """
    return text in _read_pickle_entry(path)[0]


def _read_pickle_entry(path: Path) -> tuple[bytes, str, Mapping[str, zipfile.ZipInfo]]:
    """The pickle's bytes, the folder in the archive and all entries."""
    check_first_bytes(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = checked_entries(path, archive.infolist())
            prefix = _prefix(path, entries)
            if f"{prefix}byteorder" in entries:
                _check_byte_order(path, archive.read(entries[f"{prefix}byteorder"]))
            data = archive.read(entries[f"{prefix}data.pkl"])
    except ZIP_ERRORS as error:
        raise damaged(path, error) from error
    return data, prefix, entries


def check_first_bytes(path: Path) -> None:
    """Refuse what is no archive, by its first bytes, with the reason.

    Raises:
        InvalidInput: unreadable, empty, a Git-LFS pointer, text or another kind of file.
        Unsupported: the legacy torch format.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except OSError as error:
        raise InvalidInput(f"{path.name} cannot be opened", found=error.strerror or "") from error
    if not head:
        raise InvalidInput(f"{path.name} is empty", found="0 bytes", next_step=FETCH_AGAIN)
    if head.startswith(b"version https://git-lfs"):
        raise InvalidInput(
            f"{path.name} is a Git-LFS pointer, not the checkpoint",
            found=f"{path.stat().st_size} bytes of text that name the real file",
            next_step="git lfs pull",
        )
    if LEGACY_MAGIC in head[:16]:
        raise Unsupported(
            f"{path.name} is in the legacy torch format (before torch 1.6), which is read for "
            "bare weights only",
            found="a bare pickle instead of a zip archive",
            next_step="load it where it was trained and save it again with torch >= 1.6",
        )
    if not head.startswith(b"PK\x03\x04"):
        kind = "text" if head.isascii() and b"\0" not in head else "an unknown binary format"
        raise InvalidInput(
            f"{path.name} is not a torch checkpoint",
            found=f"{kind}, first bytes {head[:16]!r}",
            next_step="give the .pt file that training wrote (best.pt)",
        )


def checked_entries(path: Path, infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The archive's entries by name.

    torch.save stores entries without compression, each once; then the declared sizes cannot add
    up to more than the file, which is what every zip bomb (compressed or overlapping) needs.
    """
    size = path.stat().st_size
    entries = {info.filename: info for info in infos}
    packed = [info.filename for info in infos if info.compress_type != zipfile.ZIP_STORED]
    total = sum(info.file_size for info in infos)
    if packed:
        raise hostile_archive(
            path, f"compressed entry {packed[0][:60]!r}; torch.save never compresses"
        )
    if total > size:
        raise hostile_archive(path, f"entries of {total} bytes in a file of {size} bytes")
    if len(entries) != len(infos):
        raise hostile_archive(path, "two entries of the same name")
    return entries


def _prefix(path: Path, entries: Mapping[str, zipfile.ZipInfo]) -> str:
    names = [name for name in entries if name.rpartition("/")[2] == "data.pkl"]
    if len(names) != 1 or names[0].count("/") > 1:
        raise InvalidInput(
            f"{path.name} is a zip archive but not a torch checkpoint",
            found=f"{len(names)} entries named data.pkl",
            next_step="give the .pt file that training wrote (best.pt)",
        )
    prefix = names[0].removesuffix("data.pkl")
    if f"{prefix}constants.pkl" in entries:
        raise Unsupported(
            f"{path.name} is a TorchScript program, not a checkpoint",
            found="constants.pkl and code/ in the archive",
            next_step="give it the ending .torchscript",
        )
    if entries[names[0]].file_size > MAX_PICKLE_BYTES:
        raise hostile_archive(path, f"a pickle of {entries[names[0]].file_size} bytes")
    return prefix


def _check_byte_order(path: Path, text: bytes) -> None:
    if text != b"little":
        raise Unsupported(
            f"{path.name} holds big-endian weights",
            found=f"byteorder {text[:16]!r}",
            next_step="save it again on a little-endian machine",
        )


def hostile_archive(path: Path, found: str) -> InvalidInput:
    """The error for an archive that torch would not have written."""
    return InvalidInput(
        f"{path.name} is not an archive that torch.save writes",
        found=found,
        next_step="do not open this file elsewhere; ask its source for the original",
    )


def damaged(path: Path, error: Exception) -> InvalidInput:
    """The error for an archive that breaks while it is read."""
    # zipfile says only "not a zip file" where the directory at the end is cut off.
    cut = "File is not a zip file" in str(error)
    reason = "the archive's directory at its end is missing" if cut else printable(str(error))
    return InvalidInput(
        f"{path.name} is truncated or damaged",
        found=f"{path.stat().st_size} bytes; {reason}",
        next_step=FETCH_AGAIN,
    )
