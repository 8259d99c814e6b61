"""The converter Protocol and the table of converters."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from phoneproof.core.apple import AppleForm
from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Binding, Format, Layout
from phoneproof.core.contract import Contract
from phoneproof.core.registry import Entry, Registry


class ConvertRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to convert and how the result shall look.

    source: the file or folder to read. binding: the source's own. layout: of the artifact's
    image input. opset: ONNX only. apple: Core ML only. licence: as the source says, where the
    format has a place for it. output: the file or folder to write; the converter writes nothing
    else.
    """

    source: Path
    contract: Contract
    binding: Binding
    layout: Layout
    opset: int = 12
    apple: AppleForm = AppleForm()
    licence: str = ""
    output: Path


class Converter(Protocol):
    """One edge of the format graph: `source` format -> `format`. Judges nothing but the integrity
    of what it wrote.
    """

    source: Format
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
        "hub-coreml": Entry(
            target="phoneproof.convert.backends.coreml:CoreMlConverter",
            summary="hub -> Core ML, an mlprogram in float32 (coremltools)",
            extra="ios",
        ),
        "hub-onnx": Entry(
            target="phoneproof.convert.backends.torch_onnx:TorchOnnxConverter",
            summary="hub -> ONNX (torch.onnx)",
            extra="torch",
        ),
        "hub-tflite": Entry(
            target="phoneproof.convert.backends.litert_torch:LiteRtTorchConverter",
            summary="hub -> TFLite float32 (litert-torch, no TensorFlow)",
            extra="android",
        ),
        "hub-coreai": Entry(
            target="phoneproof.convert.backends.coreai_torch:CoreAiConverter",
            summary="hub -> Core AI .aimodel (coreai-torch, Apple's beta)",
            extra="coreai",
        ),
        "hub-saved_model": Entry(
            target="phoneproof.convert.backends.saved_model:SavedModelConverter",
            summary="hub -> SavedModel with a named signature (litert-torch, TensorFlow)",
            extra="all",
        ),
        "saved_model-tflite": Entry(
            target="phoneproof.convert.backends.tflite_converter:TensorFlowLiteConverter",
            summary="SavedModel -> TFLite float32 (tf.lite.TFLiteConverter)",
            extra="tensorflow",
        ),
    },
)
"""Keyed by the edge they are, as `Link.edge` writes it."""
