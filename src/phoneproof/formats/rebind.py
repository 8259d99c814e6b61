"""The same model file with another contract or binding inside: no weight is touched."""

from __future__ import annotations

from pathlib import Path

from phoneproof.core.binding import Format
from phoneproof.core.errors import Unsupported
from phoneproof.formats.metadata import Embedded, embedding


def rebound(path: Path, kind: Format, embedded: Embedded) -> bytes:
    """The file's bytes with `embedded` in place of what it carried.

    Raises:
        InvalidInput: not a file of this format, or the binding names an artifact.
        Unsupported: a format that is not written here.
    """
    entries = embedding(embedded)
    if kind == "tflite":
        from phoneproof.formats.tflite import read_tflite
        from phoneproof.formats.tflite_write import TfliteEdit, edit_tflite

        graph = read_tflite(path)
        edit = TfliteEdit(
            inputs=tuple(name for name, _ in graph.signature_inputs),
            outputs=tuple(name for name, _ in graph.signature_outputs),
            metadata=entries,
        )
        return edit_tflite(path.read_bytes(), edit, path.name)
    if kind == "onnx":
        from phoneproof.formats.onnx_file import embed, read_onnx

        model = read_onnx(path)
        embed(model, entries)
        return bytes(model.SerializeToString(deterministic=True))
    raise Unsupported(f"files of format {kind} are not bound anew")
