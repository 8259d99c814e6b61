"""What both TFLite converters do with the bytes their library gave: names, checks, metadata."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from phoneproof.convert.artifact import artifact_binding, require_numbers, require_tensors
from phoneproof.convert.base import ConvertRequest
from phoneproof.core.binding import Binding
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.inventory import require_standard_ops
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.formats.model_file import write_bytes
from phoneproof.formats.tflite import (
    TfliteGraph,
    inventory,
    parse_tflite,
    tflite_tensors,
    weight_sums,
)
from phoneproof.formats.tflite_write import TfliteEdit, edit_tflite


def write_tflite(
    data: bytes,
    request: ConvertRequest,
    inputs: tuple[TensorSpec],
    outputs: tuple[TensorSpec, ...],
    tool: str,
) -> Binding:
    """Write `data` as the artifact of `request`: named tensors, contract and binding inside.

    Args:
        inputs, outputs: what the file shall have, outputs in the order of its signature.

    Returns:
        The binding as it was embedded.

    Raises:
        Unsupported: custom or Flex operators; named.
        ConversionFailed: `tool` wrote other shapes or dtypes than asked for, or NaN.
    """
    edit = TfliteEdit(
        inputs=tuple(spec.name for spec in inputs),
        outputs=tuple(spec.name for spec in outputs),
        metadata={},
        plain_names=True,
    )
    named = edit_tflite(data, edit, request.output.name)
    graph = parse_tflite(named, request.output.name)
    found_inputs, found_outputs = checked_tensors(graph, inputs + outputs, tool)
    precision = inventory(graph).precision
    binding = artifact_binding(request, "tflite", precision, (found_inputs[0],), found_outputs)
    embedded = embedding(Embedded(contract=request.contract, binding=binding))
    edit = replace(edit, metadata=embedded, plain_names=False)
    write_bytes(request.output, edit_tflite(named, edit, request.output.name))
    return binding


def checked_tensors(
    graph: TfliteGraph, wanted: tuple[TensorSpec, ...], tool: str
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of a file that was just written, after its integrity was checked.

    Raises:
        Unsupported: custom operators. ConversionFailed: other tensors than wanted, or NaN.
    """
    require_standard_ops(
        inventory(graph), "TFLite", "replace these layers in the model by standard ones"
    )
    inputs, outputs = tflite_tensors(graph)
    require_tensors(tuple(map(_narrowed, wanted)), inputs + outputs, tool)
    require_numbers(weight_sums(graph), tool)
    return inputs, outputs


def _narrowed(spec: TensorSpec) -> TensorSpec:
    """64-bit integers are written with 32 bits, as phones want them."""
    return msgspec.structs.replace(spec, dtype="int32") if spec.dtype == "int64" else spec
