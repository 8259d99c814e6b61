"""The user-defined metadata of a Core ML model: names and texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from phoneproof.core.errors import InvalidInput
from phoneproof.formats.coreml.file import read_coreml
from phoneproof.formats.model_file import write_bytes


def read_metadata(path: Path) -> dict[str, bytes]:
    """Key -> text in UTF-8.

    Raises:
        InvalidInput, MissingExtra: as `read_coreml`.
    """
    entries = read_coreml(path).spec.description.metadata.userDefined
    return {str(key): str(value).encode() for key, value in entries.items()}


def write_metadata(path: Path, entries: Mapping[str, bytes]) -> None:
    """Set entries of a model on disk, which keeps its others; equal models give equal bytes.

    Args:
        entries: key -> text in UTF-8.

    Raises:
        InvalidInput, MissingExtra: as `read_coreml`; a text that is no UTF-8.
        StorageError: the folder cannot be written.
    """
    file = read_coreml(path)
    known = file.spec.description.metadata.userDefined
    for key, value in entries.items():
        try:
            known[key] = value.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(f"metadata {key!r} is no text", found=str(error)) from error
    write_bytes(file.model, file.spec.SerializeToString(deterministic=True))
