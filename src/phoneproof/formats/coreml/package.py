"""A ``.mlpackage`` folder or a bare ``.mlmodel`` -> its specification."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from phoneproof.core.errors import InvalidInput, first_line
from phoneproof.formats.coreml.messages import Message, model_messages
from phoneproof.formats.model_file import require_model_file, weights_beside

MANIFEST: Final = "Manifest.json"
DATA: Final = "Data"
WEIGHTS: Final = "weights/weight.bin"


@dataclass(frozen=True, kw_only=True, slots=True)
class CoreMlFile:
    """One model on disk.

    name: of the folder or file, for messages. model: the file with the specification. spec: the
    `Model` message. kind: of model (``mlProgram``, ``neuralNetwork``, ...).
    """

    name: str
    model: Path
    spec: Message

    @property
    def kind(self) -> str:
        """What the specification holds."""
        return str(self.spec.WhichOneof("Type"))

    def weights(self, file_name: str) -> Path:
        """The file of weights that a program names (``@model_path/weights/weight.bin``).

        Raises:
            InvalidInput: it leads out of the package, or is missing.
        """
        return weights_beside(self.model, file_name.removeprefix("@model_path/"))


def read_coreml(path: Path) -> CoreMlFile:
    """Read a package or a bare model file.

    Raises:
        InvalidInput: neither of the two, damaged, or a package without its model.
        MissingExtra: coremltools, which brings the format's messages, is not installed.
    """
    model = _model_of(path) if path.is_dir() else path
    require_model_file(model, "Core ML model")
    spec = model_messages().Model()
    try:
        spec.ParseFromString(model.read_bytes())
    except DecodeError as error:
        raise InvalidInput(
            f"{path.name} is not a Core ML model", found=first_line(error)
        ) from error
    if spec.WhichOneof("Type") is None:
        raise InvalidInput(f"{path.name} is not a Core ML model", found="no model in it")
    return CoreMlFile(name=path.name, model=model, spec=spec)


def _model_of(folder: Path) -> Path:
    """The root model of a package, as its manifest says."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise InvalidInput(f"{folder.name} is not a Core ML package", found=f"no {MANIFEST} in it")
    try:
        entries = json.loads(manifest.read_bytes())
        name = str(entries["itemInfoEntries"][entries["rootModelIdentifier"]]["path"])
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{MANIFEST} of {folder.name} cannot be read", found=first_line(error)
        ) from error
    return weights_beside(manifest, f"{DATA}/{name}")
