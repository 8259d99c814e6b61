"""Keras HDF5 models as sources: described by h5py, run and converted by the Keras they are of."""

from __future__ import annotations

from pathlib import Path

from phoneproof.capture.backends.keras_config import read_config
from phoneproof.capture.backends.keras_inspect import inspect_keras
from phoneproof.capture.base import HubExport
from phoneproof.core.capture import Inspection
from phoneproof.runtimes.base import Session

_MAGIC = b"\x89HDF\r\n\x1a\n"


class KerasH5Source:
    """Keras 2 and 3 ``.h5`` models of built-in layers with one image input."""

    def recognises(self, path: Path) -> bool:
        """By HDF5's magic."""
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return stream.read(len(_MAGIC)) == _MAGIC

    def inspect(self, path: Path) -> Inspection:
        """Read the description; TensorFlow is not imported.

        Raises:
            InvalidInput: damaged, or with a Lambda layer, which would run code when loaded.
            Unsupported: weights only, own layers, or no single image input.
        """
        return inspect_keras(path, "keras_h5", read_config(path))

    def open(self, path: Path, *, size: tuple[int, int], batch: int) -> Session:
        """tf-keras or Keras 3 in this process, as one static graph."""
        from phoneproof.capture.backends.keras_load import keras_model

        return keras_model(path, read_config(path), size, batch).session()

    def importers(
        self, path: Path, *, size: tuple[int, int], batch: int
    ) -> tuple[tuple[str, HubExport], ...]:
        """Through ONNX, then through TensorFlow Lite."""
        from phoneproof.capture.backends.keras_load import keras_model

        return keras_model(path, read_config(path), size, batch).importers()
