"""SavedModel folders as files: what is checked, embedded and moved without TensorFlow."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from phoneproof.core.errors import InvalidInput, StorageError, Unsupported

GRAPH: Final = "saved_model.pb"
SIGNATURE: Final = "serving_default"
_EXTRA: Final = "assets.extra"
"""The folder that TensorFlow leaves to whoever wrote the model; it reads nothing there."""
_OTHER_FORMS: Final = ("saved_model.cpb", "saved_model.pbtxt")
"""TensorFlow reads these in place of, or in pieces beside, the file that is judged here."""


def require_saved_model(path: Path) -> None:
    """Refuse what TensorFlow could not load.

    Raises:
        InvalidInput: not a folder, or one without ``saved_model.pb``.
    """
    if not path.is_dir():
        found = "a file" if path.exists() else "no such folder"
        raise InvalidInput(f"{path.name} is not a SavedModel", found=found)
    if not (path / GRAPH).is_file():
        raise InvalidInput(f"{path.name} is not a SavedModel", found=f"a folder without {GRAPH}")


def refuse_ways_out(path: Path) -> None:
    """Refuse links that leave the folder, and forms of the graph that would be read instead.

    Raises:
        InvalidInput: no ``saved_model.pb``, or a link to something outside the folder.
        Unsupported: the graph in text or in pieces.
    """
    root = path.resolve()
    name = path.absolute().name
    if not (path / GRAPH).is_file():
        raise InvalidInput(f"{name} is not a SavedModel", found=f"no {GRAPH} in it")
    for form in _OTHER_FORMS:
        if (path / form).exists():
            raise Unsupported(
                f"{name} holds its graph as {form}",
                next_step="load it where it was made and save it again as one saved_model.pb",
            )
    for item in sorted(path.rglob("*")):
        if item.is_symlink() and not item.resolve().is_relative_to(root):
            raise InvalidInput(
                f"{name} leads outside its folder",
                found=f"{item.relative_to(path).as_posix()} is a link to {item.readlink()}",
                next_step=f"if you trust where it leads, copy what is meant: cp -rL {name} copy",
            )


def embed(path: Path, entries: Mapping[str, bytes]) -> None:
    """Put named JSON documents into a SavedModel folder that is being made."""
    folder = path / _EXTRA
    folder.mkdir(exist_ok=True)
    for key, value in entries.items():
        (folder / f"{key}.json").write_bytes(value)


def read_metadata(path: Path) -> dict[str, bytes]:
    """The embedded JSON documents by name; empty where there are none.

    Raises:
        InvalidInput: not a SavedModel.
    """
    require_saved_model(path)
    return {
        file.name.removesuffix(".json"): file.read_bytes()
        for file in sorted((path / _EXTRA).glob("*.json"))
    }


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, moved to `path` when the block succeeds.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    try:
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=path.parent))
    except OSError as error:
        raise StorageError.of(f"cannot write {path.name}", error) from error
    try:
        yield part
        _open_to_readers(part)
        part.replace(path)
    except OSError as error:
        raise StorageError.of(f"cannot write {path.name}", error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _open_to_readers(folder: Path) -> None:
    """mkdtemp's folders are their owner's alone."""
    folder.chmod(0o755)
    for root, folders, files in os.walk(folder):
        for name in folders:
            (Path(root) / name).chmod(0o755)
        for name in files:
            (Path(root) / name).chmod(0o644)
