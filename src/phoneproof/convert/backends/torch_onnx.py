"""Hub -> ONNX with torch.onnx.

Two exporters, by opset: the TorchScript one writes 9 to 17 as asked; the other one (built on
torch.export) writes 18 and later, and silently 18 where less is asked. What was really written is
read back.
"""

from __future__ import annotations

import io
from importlib.metadata import version
from typing import Final

import onnx
import torch

from phoneproof.convert.artifact import artifact_binding, require_numbers, require_tensors
from phoneproof.convert.backends.hub_module import HubModule, load_module
from phoneproof.convert.base import ConvertRequest
from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Format
from phoneproof.core.errors import ConversionFailed, PhoneproofError, Unsupported, first_line
from phoneproof.formats.inventory import require_standard_ops
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.formats.model_file import write_bytes
from phoneproof.formats.onnx_file import (
    declare_shapes,
    embed,
    onnx_inventory,
    onnx_tensors,
    opset,
    strip_comments,
    weight_sums,
)
from phoneproof.formats.onnx_fold import fold_constants
from phoneproof.formats.quiet import quiet, without_cycle_collection

_TOOL: Final = "torch.onnx"
_LAST_TORCHSCRIPT_OPSET: Final = 17
_OPSETS: Final = range(12, 24)


class TorchOnnxConverter:
    """torch.onnx.export, by its TorchScript or its torch.export route."""

    source: Format = "hub"
    format: Format = "onnx"

    def convert(self, request: ConvertRequest) -> WrittenModel:
        """Write one ONNX file with contract and binding in its metadata_props.

        Raises:
            ConversionFailed: the exporter broke, or wrote another opset, dtype or NaN.
            Unsupported: an operator that ONNX lacks, or an opset outside 12..23.
        """
        if request.opset not in _OPSETS:
            raise Unsupported(
                f"opset {request.opset} is not written",
                next_step=f"choose one from {_OPSETS.start} to {_OPSETS.stop - 1}",
            )
        hub = load_module(request)
        model = _export(hub, request.opset)
        strip_comments(model)
        fold_constants(model)
        declare_shapes(model, hub.outputs)
        inventory = onnx_inventory(model)
        require_opset(model, request.opset)
        require_standard_ops(
            inventory, "ONNX", "replace these layers in the model by standard ones"
        )
        inputs, outputs = onnx_tensors(model)
        require_tensors(hub.inputs + hub.outputs, inputs + outputs, _TOOL)
        require_numbers(weight_sums(model), _TOOL)
        binding = artifact_binding(request, "onnx", inventory.precision, (inputs[0],), outputs)
        embed(model, embedding(Embedded(contract=request.contract, binding=binding)))
        _require_valid(model)
        write_bytes(request.output, model.SerializeToString(deterministic=True))
        return WrittenModel(
            binding=binding,
            options=(("layout", request.layout), ("opset", str(request.opset))),
            tools=(("onnx", version("onnx")), ("torch", version("torch"))),
        )


def require_opset(model: onnx.ModelProto, wanted: int) -> None:
    """Compare the opset that was written with the one that was asked for.

    Raises:
        ConversionFailed: another one.
    """
    found = opset(model)
    if found != wanted:
        raise ConversionFailed(
            f"{_TOOL} wrote another opset than was asked for",
            found=f"{found} instead of {wanted}",
            next_step=f"set opset = {found} if your runtime reads it",
        )


def _export(hub: HubModule, wanted: int) -> onnx.ModelProto:
    route = _by_torchscript if wanted <= _LAST_TORCHSCRIPT_OPSET else _by_torch_export
    try:
        with quiet(), without_cycle_collection(), torch.no_grad():
            return route(hub, wanted)
    except PhoneproofError:
        raise
    except torch.onnx.errors.UnsupportedOperatorError as error:
        raise Unsupported(
            f"ONNX opset {wanted} lacks an operator of the model",
            found=first_line(error),
            next_step="ask for a later opset",
        ) from error
    except Exception as error:  # the exporters raise whatever their passes met
        raise ConversionFailed(f"{_TOOL} broke", found=first_line(error)) from error


def _by_torchscript(hub: HubModule, wanted: int) -> onnx.ModelProto:
    # The exporter calls .train(), which an exported module refuses: hence the trace.
    traced = torch.jit.trace(  # type: ignore[no-untyped-call]
        hub.module, (hub.example,), check_trace=False
    )
    stream = io.BytesIO()
    torch.onnx.export(
        traced,
        (hub.example,),
        stream,  # type: ignore[arg-type]
        dynamo=False,
        opset_version=wanted,
        input_names=[hub.inputs[0].name],
        output_names=[spec.name for spec in hub.outputs],
        do_constant_folding=True,
    )
    return onnx.load_from_string(stream.getvalue())


def _by_torch_export(hub: HubModule, wanted: int) -> onnx.ModelProto:
    program = torch.onnx.export(
        torch.export.export(hub.module, (hub.example,)),
        dynamo=True,
        opset_version=wanted,
        input_names=[hub.inputs[0].name],
        output_names=[spec.name for spec in hub.outputs],
        verbose=False,
    )
    if program is None:
        raise ConversionFailed(f"{_TOOL} gave no model")
    return program.model_proto


def _require_valid(model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionFailed(
            f"{_TOOL} wrote a file that ONNX's own checker refuses", found=first_line(error)
        ) from error
