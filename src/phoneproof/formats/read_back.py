"""What a model file of any format really holds."""

from __future__ import annotations

from pathlib import Path

from phoneproof.core.binding import Format
from phoneproof.core.optimization import ReadBack


def read_back(path: Path, format_: Format) -> ReadBack | None:
    """Read a file back; null for formats that are folders, and for the hub.

    Raises:
        InvalidInput: not a file of that format.
    """
    if format_ == "tflite":
        from phoneproof.formats.tflite_read_back import read_back_tflite

        return read_back_tflite(path)
    if format_ == "onnx":
        from phoneproof.formats.onnx_read_back import read_back_onnx

        return read_back_onnx(path)
    return None


def macs_above_int8(found: ReadBack) -> float:
    """Share (0..1) of multiply-accumulates that are not integer 8-bit by 8-bit throughout: wider
    or float activations, and weights that alone are integers, count as above."""
    return sum(share.macs for share in found.shares if share.dtype != "int8")
