"""Keras 3 ``.keras`` archives as sources: judged as data, then run and converted by Keras 3."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path, PurePosixPath

import h5py
import msgspec

from phoneproof.capture.backends.keras_config import KerasConfig, parse_config
from phoneproof.capture.backends.keras_hdf5 import damaged, refuse_outside
from phoneproof.capture.backends.keras_inspect import inspect_keras
from phoneproof.capture.base import HubExport
from phoneproof.core.capture import Inspection
from phoneproof.core.errors import InvalidInput, Unsupported, first_line
from phoneproof.formats.model_file import require_model_file
from phoneproof.runtimes.base import Session

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MEMBERS = (_CONFIG, _METADATA, _WEIGHTS)
_MAX_TEXT = 1 << 26
"""A network's description has a megabyte at most."""
_MAX_GROWTH = 100
"""Keras stores without compression; trained weights hardly compress anyway."""
_SMALL = 1 << 20


class _Metadata(msgspec.Struct, frozen=True):
    keras_version: str = ""


class KerasSource:
    """Keras 3 ``.keras`` models of built-in layers with one image input."""

    def recognises(self, path: Path) -> bool:
        """A zip archive with Keras' description in it."""
        if not path.is_file() or not zipfile.is_zipfile(path):
            return False
        try:
            with zipfile.ZipFile(path) as archive:
                return {_CONFIG, _METADATA} <= set(archive.namelist())
        except (zipfile.BadZipFile, OSError):
            return False

    def inspect(self, path: Path) -> Inspection:
        """Read the description; neither Keras nor TensorFlow is imported.

        Raises:
            InvalidInput: damaged, a zip bomb, leading out of the archive, or with code to run.
            Unsupported: assets, own layers, or no single image input.
        """
        return inspect_keras(path, "keras", _read(path))

    def open(self, path: Path, *, size: tuple[int, int], batch: int) -> Session:
        """Keras 3 on TensorFlow in this process, as one static graph."""
        from phoneproof.capture.backends.keras_load import keras_model

        return keras_model(path, _read(path), size, batch).session()

    def importers(
        self, path: Path, *, size: tuple[int, int], batch: int
    ) -> tuple[tuple[str, HubExport], ...]:
        """Through ONNX, then through TensorFlow Lite."""
        from phoneproof.capture.backends.keras_load import keras_model

        return keras_model(path, _read(path), size, batch).importers()


def _read(path: Path) -> KerasConfig:
    require_model_file(path, "Keras model")
    try:
        with zipfile.ZipFile(path) as archive:
            _judge_members(path, archive.infolist())
            metadata = msgspec.json.decode(archive.read(_METADATA), type=_Metadata)
            text = archive.read(_CONFIG)
            _judge_weights(path, archive.read(_WEIGHTS))
    except (zipfile.BadZipFile, OSError, RuntimeError, ValueError, NotImplementedError) as error:
        raise damaged(path, first_line(error)) from error
    return parse_config(path, metadata.keras_version or "3", text)


def _judge_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Keras' three files, once each, of a size that the archive can hold."""
    names = [member.filename for member in members]
    for name in names:
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in name:
            raise _hostile(path, f"a member named {name!r}, outside the archive")
    for member in members:
        growth = member.file_size / max(member.compress_size, 1)
        if member.file_size > _SMALL and growth > _MAX_GROWTH:
            raise _hostile(
                path,
                f"{member.filename} unpacks from {member.compress_size} to {member.file_size} "
                "bytes: a zip bomb",
            )
        if member.filename != _WEIGHTS and member.file_size > _MAX_TEXT:
            raise _hostile(path, f"{member.filename} of {member.file_size} bytes")
    if len(set(names)) != len(names):
        raise _hostile(path, "the same member twice")
    missing = [name for name in _MEMBERS if name not in names]
    if missing:
        raise damaged(path, f"an archive without {', '.join(missing)}")
    others = sorted(set(names) - set(_MEMBERS))
    if others:
        raise Unsupported(
            f"{path.name} holds files beside the model",
            found=", ".join(others[:4]),
            next_step="save the model without layers that keep files (vocabularies, tables)",
        )


def _judge_weights(path: Path, content: bytes) -> None:
    with h5py.File(io.BytesIO(content), "r") as file:
        refuse_outside(path.name, file, len(content))


def _hostile(path: Path, found: str) -> InvalidInput:
    return InvalidInput(
        f"{path.name} is not an archive that Keras writes",
        found=found,
        next_step="do not trust this file; save the model again",
    )
