"""Reading contract and binding back out of a model file, with as few libraries as that takes."""

from __future__ import annotations

from pathlib import Path

from phoneproof.core.binding import Format
from phoneproof.core.errors import Unsupported
from phoneproof.formats.metadata import Embedded, parse_embedding


def read_embedded(path: Path, kind: Format) -> Embedded:
    """What the file says of itself.

    Raises:
        InvalidInput: not a file of this format, or without contract and binding.
        Unsupported: a format whose files carry no metadata.
    """
    if kind == "tflite":
        from phoneproof.formats.tflite import read_tflite

        return parse_embedding(read_tflite(path).metadata, path.name)
    if kind == "onnx":
        from phoneproof.runtimes.backends.onnxruntime import read_metadata

        return parse_embedding(read_metadata(path), path.name)
    if kind == "saved_model":
        from phoneproof.formats import saved_model

        return parse_embedding(saved_model.read_metadata(path), path.name)
    if kind == "hub":
        from phoneproof.formats import hub_archive

        return parse_embedding(hub_archive.read_metadata(path), path.name)
    if kind == "coreml":
        from phoneproof.formats.coreml.wire import read_user_metadata

        return parse_embedding(read_user_metadata(path), path.name)
    if kind == "coreai":
        from phoneproof.formats import coreai

        return parse_embedding(coreai.read_metadata(path), path.name)
    raise Unsupported(f"files of format {kind} carry no contract")
