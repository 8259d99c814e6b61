"""A file that torch.save wrote, zip archive or older, behind one interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from phoneproof.capture.backends.torch_files.checkpoint import read_checkpoint
from phoneproof.capture.backends.torch_files.legacy import is_legacy, read_legacy
from phoneproof.capture.backends.torch_files.records import GlobalName, Record, StorageRef
from phoneproof.core.errors import InvalidInput


class TorchFile(Protocol):
    """The pickle's value, and access to the storages it names."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def root(self) -> object:
        """What was saved: plain values, `TensorRef` and `Record`."""
        ...

    def check_storages(self, storages: Iterable[StorageRef]) -> None:
        """Raise InvalidInput where the file does not hold them as described."""
        ...

    def read_storages(self, storages: Iterable[StorageRef]) -> Mapping[StorageRef, bytes]:
        """The raw little-endian bytes of each."""
        ...


def read_torch_file(path: Path) -> TorchFile:
    """Read the pickle of a file that torch.save wrote; the storages stay in the file.

    Raises:
        InvalidInput: empty, a Git-LFS pointer, text, truncated, a zip bomb, a broken pickle, or
            one that names functions no model needs.
        Unsupported: the tar archives of torch 0.1, a big-endian file.
    """
    found: TorchFile = read_legacy(path) if is_legacy(path) else read_checkpoint(path)
    refuse_hostile(found.root, path.name)
    return found


_HOSTILE_MODULES: Final = frozenset(
    {
        *("os", "posix", "nt", "sys", "subprocess", "pty", "shutil", "pathlib", "io", "socket"),
        *("runpy", "importlib", "ctypes", "pickle", "marshal", "code", "codeop", "webbrowser"),
        *("urllib", "requests", "http", "ftplib", "smtplib", "asyncio", "multiprocessing"),
        *("threading", "signal", "tempfile", "glob", "zipimport", "pip", "pkgutil", "timeit"),
        *("pdb", "bdb", "cProfile", "profile", "trace", "operator", "atexit"),
    }
)
_HOSTILE_BUILTINS: Final = frozenset(
    {
        *("eval", "exec", "compile", "open", "getattr", "setattr", "delattr", "__import__"),
        *("input", "breakpoint", "globals", "locals", "vars", "apply", "execfile", "file"),
    }
)
_BUILTINS: Final = ("builtins", "__builtin__")
_HARMLESS: Final = frozenset({"PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"})
"""Training settings are full of paths; as records they are text."""

_HOSTILE_TORCH: Final = ("torch.load", "torch.hub.load", "torch.jit.load", "torch.from_file")


def refuse_hostile(root: object, name: str) -> None:
    """Refuse a pickle that would call what no saved model calls; here it was called by nobody.

    Raises:
        InvalidInput: names the function.
    """
    for record in records_of(root):
        kind = record.type
        if _is_hostile(kind) and not _is_method(record):
            raise InvalidInput(
                f"{name} is hostile: loading it with torch would call {kind.dotted}",
                found="a call in the pickle that no saved model makes; it was not executed",
                next_step="do not open this file elsewhere; ask its source for the original",
            )


def _is_hostile(kind: GlobalName) -> bool:
    top = kind.module.partition(".")[0]
    builtin = top in _BUILTINS and kind.name in _HOSTILE_BUILTINS
    module = top in _HOSTILE_MODULES and kind.name not in _HARMLESS
    return builtin or module or kind.dotted in _HOSTILE_TORCH


def _is_method(record: Record) -> bool:
    """``getattr(model, "forward_fuse")``: how pickles before protocol 4 write a bound method.

    Of an object or a class of the author's own, by a plain name; nothing else may be reached.
    """
    if record.type.name != "getattr" or len(record.args) != 2:
        return False
    owner, name = record.args
    kind = owner.type if isinstance(owner, Record) else owner
    return (
        isinstance(kind, GlobalName)
        and kind.module.partition(".")[0] not in (*_BUILTINS, *_HOSTILE_MODULES)
        and isinstance(name, str)
        and not name.startswith("_")
    )


def records_of(root: object) -> Iterator[Record]:
    """Every record below a value, each once; cycles and depth do no harm."""
    waiting, seen = [root], set[int]()
    while waiting:
        value = waiting.pop()
        if not isinstance(value, Record | dict | list | tuple) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Record):
            yield value
            # As whole containers: arguments may be shared by any number of records.
            waiting += [value.args, value.state, value.elements]
            waiting += [part for pair in value.items for part in pair]
        elif isinstance(value, dict):
            waiting += value.values()
        else:
            waiting += value
