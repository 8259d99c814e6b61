"""What a model file of any format really holds."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from phoneproof.core.binding import Format
from phoneproof.core.optimization import ReadBack
from phoneproof.formats.shares import gzip_size


def read_back(path: Path, format_: Format) -> ReadBack | None:
    """Read a file back, its compressed size too; null for formats that nobody reads so.

    Raises:
        InvalidInput: not a file of that format.
    """
    found = contents(path, format_)
    return None if found is None else replace(found, gzip_bytes=gzip_size(path))


def contents(path: Path, format_: Format) -> ReadBack | None:
    """As `read_back` without the compressed size, which takes seconds of large files.

    Raises:
        InvalidInput: not a file of that format.
    """
    if format_ == "tflite":
        from phoneproof.formats.tflite_read_back import tflite_contents

        return tflite_contents(path)
    if format_ == "onnx":
        from phoneproof.formats.onnx_read_back import onnx_contents

        return onnx_contents(path)
    if format_ == "coreml":
        from phoneproof.formats.coreml.read_back import coreml_contents

        return coreml_contents(path)
    return None


def macs_above_int8(found: ReadBack) -> float:
    """Share (0..1) of multiply-accumulates that are not integer 8-bit by 8-bit throughout: wider
    or float activations, and weights that alone are integers, count as above."""
    return sum(share.macs for share in found.shares if share.dtype != "int8")
