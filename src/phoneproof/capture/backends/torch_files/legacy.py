"""Files of torch before 1.6: pickles one after the other, then the storages' bytes.

The order is that of ``torch.serialization._legacy_save``: magic number, protocol version, facts of
the machine, the object, the list of storage keys, and for each key an int64 element count followed
by the elements. Nothing is unpickled, and nothing larger than the file is ever allocated.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from phoneproof.capture.backends.torch_files.checkpoint import FETCH_AGAIN, LEGACY_MAGIC
from phoneproof.capture.backends.torch_files.records import (
    ITEM_BYTES,
    StorageRef,
    printable,
    shown,
    text_keys,
)
from phoneproof.capture.backends.torch_files.unpickle import (
    read_pickle,
    read_pickle_and_storages,
)
from phoneproof.core.errors import InvalidInput, Unsupported

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
_TAR_MAGIC: Final = slice(257, 262)
"""Where POSIX tar archives hold "ustar"."""

_COUNT = struct.Struct("<q")


@dataclass(frozen=True, kw_only=True, slots=True)
class LegacyFile:
    """A legacy file that was read: the pickle's value, and where each storage's elements begin."""

    path: Path
    root: object
    starts: Mapping[str, int]

    def check_storages(self, storages: Iterable[StorageRef]) -> None:
        """Whether the file holds all of them; their counts were compared when it was read.

        Raises:
            InvalidInput: a storage that the file does not hold.
        """
        for storage in storages:
            if storage.key not in self.starts:
                raise _damaged(self.path, f"no storage {printable(storage.key)}")

    def read_storages(self, storages: Iterable[StorageRef]) -> Mapping[StorageRef, bytes]:
        """The raw little-endian bytes of storages, each read once.

        Raises:
            InvalidInput: a storage that the file does not hold, or a file cut since it was read.
        """
        wanted = dict.fromkeys(storages)
        self.check_storages(wanted)
        with self.path.open("rb") as stream:
            found: dict[StorageRef, bytes] = {}
            for storage in wanted:
                size = storage.numel * ITEM_BYTES[storage.dtype]
                stream.seek(self.starts[storage.key])
                found[storage] = stream.read(size)
                if len(found[storage]) != size:
                    raise _damaged(self.path, f"storage {printable(storage.key)} is cut off")
            return found


def is_legacy(path: Path) -> bool:
    """Whether a file begins as torch before 1.6 wrote it, or as torch 0.1 did (tar)."""
    with path.open("rb") as stream:
        head = stream.read(512)
    return LEGACY_MAGIC in head[:16] or _is_tar(head)


def read_legacy(path: Path) -> LegacyFile:
    """Read a legacy file's pickles; the storages stay in the file.

    Raises:
        InvalidInput: truncated, a broken pickle, or counts that contradict each other or the
            file's size.
        Unsupported: a tar archive (torch 0.1), another protocol, a big-endian machine.
    """
    with _mapped(path) as data:
        if _is_tar(data[:512]):
            raise Unsupported(
                f"{path.name} is a tar archive, as torch 0.1 wrote them",
                found="'ustar' in its first block",
                next_step="load it with an old torch and save it again with torch >= 1.6",
            )
        _check_header(path, data)
        root, storages = read_pickle_and_storages(data)
        keys = read_pickle(data)
        starts = dict(_walk(path, data, keys, storages))
    return LegacyFile(path=path, root=root, starts=MappingProxyType(starts))


def _is_tar(head: bytes) -> bool:
    return head[_TAR_MAGIC] == b"ustar"


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    """The file as memory: a text that claims to be larger than the file reads what is there."""
    try:
        with (
            path.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            yield data
    except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
        raise InvalidInput(
            f"{path.name} cannot be read", found=str(error), next_step=FETCH_AGAIN
        ) from error


def _check_header(path: Path, data: mmap.mmap) -> None:
    if (magic := read_pickle(data)) != _MAGIC:
        raise _damaged(path, f"the magic number is {shown(magic)}")
    if (protocol := read_pickle(data)) != _PROTOCOL:
        raise Unsupported(
            f"{path.name} is of an unknown version of torch's format", found=shown(protocol)
        )
    machine = read_pickle(data)
    if not isinstance(machine, dict) or text_keys(machine).get("little_endian") is not True:
        raise Unsupported(
            f"{path.name} was not written on a little-endian machine",
            found=shown(machine),
            next_step="save it again on a little-endian machine",
        )


def _walk(
    path: Path, data: mmap.mmap, keys: object, storages: Mapping[str, StorageRef]
) -> Iterator[tuple[str, int]]:
    """The storages in the order of the keys, their counts compared with what the pickle said."""
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise _damaged(path, f"{shown(keys)} where the storages' keys belong")
    if len(set(keys)) != len(keys) or set(keys) != storages.keys():
        raise _damaged(path, f"{len(keys)} storage keys for {len(storages)} storages")
    place, size = data.tell(), len(data)
    for key in keys:
        storage = storages[key]
        if place + _COUNT.size > size:
            raise _damaged(path, f"it ends before storage {printable(key)}")
        (count,) = _COUNT.unpack_from(data, place)
        if count != storage.numel:
            found = f"storage {printable(key)} has {count} elements, described {storage.numel}"
            raise _damaged(path, found)
        place += _COUNT.size
        yield key, place
        place += count * ITEM_BYTES[storage.dtype]
        if place > size:
            raise _damaged(path, f"it ends {place - size} bytes before storage {printable(key)}")


def _damaged(path: Path, found: str) -> InvalidInput:
    return InvalidInput(
        f"{path.name} is truncated or damaged",
        found=f"{path.stat().st_size} bytes; {found}",
        next_step=FETCH_AGAIN,
    )
