"""Hub -> TFLite float32 with litert-torch (no TensorFlow)."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from typing import Final

import msgspec

from phoneproof.convert.artifact import artifact_binding, require_numbers, require_tensors
from phoneproof.convert.backends.hub_module import HubModule, load_module
from phoneproof.convert.base import ConvertRequest
from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Format
from phoneproof.core.errors import ConversionFailed, first_line
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.inventory import require_standard_ops
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.formats.model_file import write_bytes
from phoneproof.formats.quiet import quiet, without_cycle_collection
from phoneproof.formats.tflite import (
    TfliteGraph,
    inventory,
    parse_tflite,
    tflite_tensors,
    weight_sums,
)
from phoneproof.formats.tflite_write import TfliteEdit, edit_tflite

_TOOL: Final = "litert-torch"


class LiteRtTorchConverter:
    """litert_torch.convert, then names and metadata."""

    format: Format = "tflite"

    def convert(self, request: ConvertRequest) -> WrittenModel:
        """Write one TFLite file with contract and binding in its metadata.

        Raises:
            ConversionFailed: the library broke, or wrote another shape, dtype or NaN.
            Unsupported: the file would need custom or Flex operators; named.
        """
        hub = load_module(request)
        wanted = hub.inputs + hub.outputs
        edit = TfliteEdit(
            inputs=tuple(spec.name for spec in hub.inputs),
            outputs=tuple(spec.name for spec in hub.outputs),
            metadata={},
            plain_names=True,
        )
        data = edit_tflite(_convert(hub), edit, request.output.name)
        graph = parse_tflite(data, request.output.name)
        inputs, outputs = checked_tensors(graph, wanted)
        found = inventory(graph)
        binding = artifact_binding(request, "tflite", found.precision, (inputs[0],), outputs)
        embedded = embedding(Embedded(contract=request.contract, binding=binding))
        edit = replace(edit, metadata=embedded, plain_names=False)
        write_bytes(request.output, edit_tflite(data, edit, request.output.name))
        return WrittenModel(
            binding=binding,
            options=(("layout", request.layout),),
            tools=(("litert-torch", version("litert-torch")), ("torch", version("torch"))),
        )


def checked_tensors(
    graph: TfliteGraph, wanted: tuple[TensorSpec, ...]
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of a file that was just written, after its integrity was checked.

    Raises:
        Unsupported: custom operators. ConversionFailed: other tensors than wanted, or NaN.
    """
    require_standard_ops(
        inventory(graph), "TFLite", "replace these layers in the model by standard ones"
    )
    inputs, outputs = tflite_tensors(graph)
    require_tensors(tuple(map(_narrowed, wanted)), inputs + outputs, _TOOL)
    require_numbers(weight_sums(graph), _TOOL)
    return inputs, outputs


def _narrowed(spec: TensorSpec) -> TensorSpec:
    """litert-torch writes 64-bit integers with 32 bits, as phones want them."""
    return msgspec.structs.replace(spec, dtype="int32") if spec.dtype == "int64" else spec


def _convert(hub: HubModule) -> bytes:
    try:
        with quiet(), without_cycle_collection():
            import litert_torch  # 4 s, and it logs while it is imported

            model = litert_torch.convert(hub.module, (hub.example,))
            return bytes(model.model_content())
    except ModuleNotFoundError:
        raise
    except Exception as error:  # litert-torch raises whatever its passes met
        raise ConversionFailed(f"{_TOOL} broke", found=first_line(error)) from error
