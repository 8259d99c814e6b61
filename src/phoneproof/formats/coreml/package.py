"""The folder that a ``.mlpackage`` is, written so that equal models give equal bytes.

coremltools numbers the items of a package at random and serialises maps in any order; here the
numbers are fixed and the maps sorted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from phoneproof.formats.coreml.messages import Message
from phoneproof.formats.saved_model import replacing_folder

DATA: Final = "Data"
MODEL: Final = "com.apple.CoreML/model.mlmodel"
WEIGHTS: Final = "com.apple.CoreML/weights/weight.bin"
MANIFEST: Final = "Manifest.json"
_MODEL_ID: Final = "5b64ae35-6d92-5a51-9f2c-0a4b41d2a601"
_WEIGHTS_ID: Final = "5b64ae35-6d92-5a51-9f2c-0a4b41d2a602"
"""Any names unlike each other: they are looked up in the manifest that they are written in."""


def write_package(path: Path, model: Message, weights: bytes | None) -> None:
    """Write a package whole or not at all; `path` must not be there.

    weights: of ``weight.bin``; null where the model holds all its numbers itself.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    with replacing_folder(path) as folder:
        files = {MODEL: model.SerializeToString(deterministic=True)}
        if weights is not None:
            files[WEIGHTS] = weights
        for name, data in files.items():
            file = folder / DATA / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        (folder / MANIFEST).write_bytes(manifest(with_weights=weights is not None))


def manifest(*, with_weights: bool) -> bytes:
    """``Manifest.json``, as Core ML reads it."""
    items = {_MODEL_ID: _item("CoreML Model Specification", "model.mlmodel", MODEL)}
    if with_weights:
        folder = str(Path(WEIGHTS).parent.as_posix())
        items[_WEIGHTS_ID] = _item("CoreML Model Weights", "weights", folder)
    document = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": items,
        "rootModelIdentifier": _MODEL_ID,
    }
    return json.dumps(document, indent=4).encode()


def _item(description: str, name: str, path: str) -> dict[str, str]:
    return {"author": "com.apple.CoreML", "description": description, "name": name, "path": path}
