"""The folder of a SavedModel: nothing in it may lead out of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from phoneproof.core.errors import InvalidInput, Unsupported

_MAX_LABEL_BYTES = 1 << 20
_OTHER_FORMS = ("saved_model.cpb", "saved_model.pbtxt")
"""TensorFlow reads these in place of, or in pieces beside, the file that is judged here."""


def refuse_ways_out(path: Path) -> None:
    """Refuse links that leave the folder, and forms of the graph that would be read instead.

    Raises:
        InvalidInput: no ``saved_model.pb``, or a link to something outside the folder.
        Unsupported: the graph in text or in pieces.
    """
    root = path.resolve()
    name = path.absolute().name
    if not (path / "saved_model.pb").is_file():
        raise InvalidInput(f"{name} is not a SavedModel", found="no saved_model.pb in it")
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


def refuse_foreign_assets(path: Path, filenames: Sequence[str]) -> None:
    """Asset names of the graph must stay below ``assets/``.

    Raises:
        InvalidInput: an absolute path, or one with ``..``.
    """
    for filename in filenames:
        parts = PurePosixPath(filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in filename or "\0" in filename:
            raise InvalidInput(
                f"{path.absolute().name} names an asset outside its folder",
                found=repr(filename),
                next_step="do not trust this model; save it again",
            )


def labels_in_assets(path: Path, classes: int | None) -> tuple[tuple[str, ...], str]:
    """The one asset with as many lines as there are classes: its lines and name; else nothing."""
    found: list[tuple[tuple[str, ...], str]] = []
    for file in sorted((path / "assets").glob("*")) if classes else ():
        if not file.is_file() or not 0 < file.stat().st_size <= _MAX_LABEL_BYTES:
            continue
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        labels = tuple(line.strip() for line in lines)
        if len(labels) == classes and all(labels) and len(set(labels)) == classes:
            found.append((labels, file.name))
    return found[0] if len(found) == 1 else ((), "")
