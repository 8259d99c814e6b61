"""The converter Protocol and the table of converters."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Binding, Format, Layout
from phoneproof.core.contract import Contract
from phoneproof.core.registry import Entry, Registry


class ConvertRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to convert and how the result shall look.

    hub: the .pt2 file. binding: the hub's. layout: of the artifact's image input. opset: ONNX
    only. output: the file or folder to write; the converter writes nothing else.
    """

    hub: Path
    contract: Contract
    binding: Binding
    layout: Layout
    opset: int = 12
    output: Path


class Converter(Protocol):
    """Hub program -> one file. Judges nothing but the file's own integrity."""

    format: Format

    def convert(self, request: ConvertRequest) -> WrittenModel:
        """Write the artifact, with contract and binding embedded.

        Raises:
            ConversionFailed: the library broke, or wrote custom ops, another dtype or opset.
            Unsupported: an operator the target lacks, named.
        """
        ...


CONVERTERS: Registry[Converter] = Registry(
    "converter",
    {
        "onnx": Entry(
            target="phoneproof.convert.backends.torch_onnx:TorchOnnxConverter",
            summary="hub -> ONNX (torch.onnx)",
            extra="torch",
        ),
        "tflite": Entry(
            target="phoneproof.convert.backends.litert_torch:LiteRtTorchConverter",
            summary="hub -> TFLite float32 (litert-torch, no TensorFlow)",
            extra="android",
        ),
    },
)
"""Keyed by the format they write."""
