"""What every reader of a model file checks before a library sees the file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from phoneproof.core.errors import InvalidInput, StorageError

_LFS_PREFIX = b"version https://git-lfs.github.com/spec/"


def require_model_file(path: Path, what: str) -> None:
    """Refuse what no library can read, with the reason in plain words.

    Args:
        path: the file. what: what it should be, for the message ("TFLite model").

    Raises:
        InvalidInput: missing, a folder, empty, or a Git-LFS pointer.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise InvalidInput(f"{path.name} is not a {what}", found=found)
    with path.open("rb") as stream:
        head = stream.read(len(_LFS_PREFIX))
    if not head:
        raise InvalidInput(f"{path.name} is not a {what}", found="an empty file")
    if head == _LFS_PREFIX:
        raise InvalidInput(
            f"{path.name} is not a {what}",
            found="a Git-LFS pointer: the file itself was never downloaded",
            next_step="run 'git lfs pull' in the repository the file came from",
        )


def weights_beside(model: Path, name: str, *, of: str = "") -> Path:
    """A file that a model keeps weights in: its own, inside its folder.

    Args:
        name: relative to the model's folder, as the model says. of: what they belong to, for the
            message ("tensor 'w'").

    Raises:
        InvalidInput: the name leads out of the folder, or there is no such file.
    """
    folder = model.parent.resolve()
    parts = (*PurePosixPath(name).parts, *PureWindowsPath(name).parts)
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
    file = folder / name
    if not name or absolute or ".." in parts or not file.resolve().is_relative_to(folder):
        raise InvalidInput(
            f"{model.name} reads its weights from outside its own folder",
            found=f"external data {name!r}" + (f" of {of}" if of else ""),
            next_step="do not trust this file; save the model again with its data beside it",
        )
    if not file.is_file():
        raise InvalidInput(
            f"{model.name} keeps its weights in a file that is missing",
            found=f"no {name!r} beside it",
            next_step=f"put {name!r} into the folder of {model.name}",
        )
    return file


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path`, moved onto `path` when the block succeeds.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=".part-", suffix=path.suffix, dir=path.parent)
        os.close(descriptor)
    except OSError as error:
        raise StorageError.of(f"cannot write {path.name}", error) from error
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)
        part.replace(path)
    except OSError as error:
        raise StorageError.of(f"cannot write {path.name}", error) from error
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file at once or not at all.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    with replacing(path) as part:
        part.write_bytes(data)
