"""SavedModel -> TFLite float32 with TensorFlow's own converter."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from phoneproof.convert.artifact import require_tensors, wanted_tensors
from phoneproof.convert.backends.tflite_artifact import write_tflite
from phoneproof.convert.base import ConvertRequest
from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Format
from phoneproof.core.errors import ConversionFailed, Unsupported, first_line
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.quiet import quiet, without_cycle_collection
from phoneproof.formats.saved_model import SIGNATURE
from phoneproof.formats.tflite import parse_tflite, tflite_tensors
from phoneproof.runtimes.backends.saved_model import signature_tensors
from phoneproof.runtimes.backends.tensorflow_quiet import import_tensorflow, silent_stderr

_TOOL: Final = "tf.lite.TFLiteConverter"


class TensorFlowLiteConverter:
    """tf.lite.TFLiteConverter.from_saved_model with TFLite's own operators alone."""

    source: Format = "saved_model"
    format: Format = "tflite"

    def convert(self, request: ConvertRequest) -> WrittenModel:
        """Write one TFLite file with contract and binding in its metadata.

        Raises:
            InvalidInput: not a SavedModel, or the binding is of another one.
            Unsupported: another layout than the SavedModel's, or an operator that only Select TF
                or a custom kernel has; named.
            ConversionFailed: TensorFlow broke, or wrote another shape, dtype or NaN.
        """
        found = signature_tensors(request.source)
        inputs, outputs = wanted_tensors(request, *found)
        if request.layout != request.binding.image.layout:
            raise Unsupported(
                "the TFLite file keeps the layout of the SavedModel",
                found=f"{request.layout} asked for, {request.binding.image.layout} inside",
                next_step="give the target one layout",
            )
        data = _convert(request)
        binding = write_tflite(data, request, inputs, _in_file_order(data, outputs), _TOOL)
        return WrittenModel(
            binding=binding,
            options=(("layout", request.layout),),
            tools=(("tensorflow-cpu", version("tensorflow-cpu")),),
        )


def _in_file_order(data: bytes, outputs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """The outputs in the order of the signature that was written, which sorts them by name."""
    _, found = tflite_tensors(parse_tflite(data, "the converted model"))
    by_name = {spec.name: spec for spec in outputs}
    if {spec.name for spec in found} != set(by_name):
        require_tensors(outputs, found, _TOOL)
    return tuple(by_name[spec.name] for spec in found)


def _convert(request: ConvertRequest) -> bytes:
    try:
        with quiet(), silent_stderr(), without_cycle_collection():
            tensorflow, _ = import_tensorflow()
            converter = tensorflow.lite.TFLiteConverter.from_saved_model(
                str(request.source), signature_keys=[SIGNATURE]
            )
            converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS]
            converter.allow_custom_ops = False
            return bytes(converter.convert())
    except ModuleNotFoundError:
        raise
    except Exception as error:  # the converter raises one class for everything
        raise _refusal(error) from error


def _refusal(error: Exception) -> ConversionFailed | Unsupported:
    text = str(error)
    for mark in ("needs Flex", "needs custom", "neither a custom op nor a flex op"):
        if mark in text:
            line = next(line for line in text.splitlines() if mark in line)
            return Unsupported(
                "the model needs operators that TFLite does not have",
                found=line.strip(),
                next_step="replace these layers in the model by standard ones",
            )
    return ConversionFailed(f"{_TOOL} broke", found=first_line(error))
