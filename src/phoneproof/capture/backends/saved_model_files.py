"""Assets of a SavedModel: none may lie elsewhere; one may be the class names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from phoneproof.core.errors import InvalidInput

_MAX_LABEL_BYTES = 1 << 20


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
