"""Hub -> SavedModel: lowered to StableHLO by litert-torch, called by one TensorFlow operator.

The program lies in the graph as a portable StableHLO artifact behind an ``XlaCallModule``
operator; every weight is a variable of the checkpoint, so each is stored once.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import torch

from phoneproof.convert.artifact import artifact_binding, require_numbers
from phoneproof.convert.backends.hub_module import HubModule, load_module
from phoneproof.convert.backends.saved_model_canonical import canonicalise
from phoneproof.convert.base import ConvertRequest
from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import DType, Format
from phoneproof.core.errors import ConversionFailed, PhoneproofError, first_line
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.formats.quiet import quiet, without_cycle_collection
from phoneproof.formats.saved_model import SIGNATURE, embed, replacing_folder
from phoneproof.runtimes.backends.tensorflow_quiet import import_tensorflow, silent_stderr

if TYPE_CHECKING:
    from litert_torch.backend.export import MlirLowered

_TOOL: Final = "litert-torch"
_PASSES: Final = "builtin.module(inline,cse,canonicalize,cse)"
_DTYPES: Final[dict[torch.dtype, DType]] = {
    torch.float32: "float32",
    torch.float16: "float16",
    torch.int64: "int64",
    torch.int32: "int32",
    torch.int16: "int16",
    torch.int8: "int8",
    torch.uint8: "uint8",
    torch.bool: "bool",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Program:
    """A lowered program. arguments: the weight of each argument, null for the image."""

    module: bytes
    arguments: tuple[torch.Tensor | None, ...]
    outputs: tuple[TensorSpec, ...]


class SavedModelConverter:
    """litert-torch's lowering, wrapped by hand in a tf.Module."""

    source: Format = "hub"
    format: Format = "saved_model"

    def convert(self, request: ConvertRequest) -> WrittenModel:
        """Write one folder with the signature ``serving_default``; contract and binding inside.

        Raises:
            ConversionFailed: one of the libraries broke, or weights are not numbers.
        """
        hub = load_module(request)
        program = _lowered(hub)
        _require_numbers(program)
        binding = artifact_binding(request, "saved_model", "float32", hub.inputs, program.outputs)
        with replacing_folder(request.output) as folder:
            _save(program, hub.inputs[0], folder)
            canonicalise(folder)
            embed(folder, embedding(Embedded(contract=request.contract, binding=binding)))
        tools = ("litert-torch", "tensorflow-cpu", "torch")
        return WrittenModel(
            binding=binding,
            options=(("layout", request.layout), ("signature", SIGNATURE)),
            tools=tuple((name, version(name)) for name in tools),
        )


def _lowered(hub: HubModule) -> _Program:
    try:
        with quiet(), silent_stderr(), without_cycle_collection(), torch.no_grad():
            import_tensorflow()  # before litert-torch: see there
            return _lower(hub)
    except (ModuleNotFoundError, PhoneproofError):
        raise
    except Exception as error:  # litert-torch raises whatever its passes met
        raise ConversionFailed(f"{_TOOL} broke", found=first_line(error)) from error


def _lower(hub: HubModule) -> _Program:
    """The passes of litert_torch.convert, without those that make TFLite's own operators."""
    from litert_torch import fx_infra
    from litert_torch._convert import fx_passes
    from litert_torch.backend.export import exported_program_to_mlir

    program = torch.export.export(hub.module, (hub.example,))
    program = fx_infra.safe_run_decompositions(
        program, fx_infra.decomp.pre_convert_decomp(), can_skip=False
    )
    passes = (
        fx_passes.EliminateDeadCodePass(),
        fx_passes.OptimizeLayoutTransposesPass(),
        fx_passes.CanonicalizePass(),
        fx_passes.ReduceViewRankPass(),
        fx_passes.RemoveNonUserOutputsPass(),
    )
    program = fx_infra.run_passes(program, list(passes))
    lowered = exported_program_to_mlir(program, inline_constants=False)
    return _Program(
        module=_portable(lowered),
        arguments=tuple(
            lowered.state_dict[one.input_spec.name].detach()
            if one.input_spec.is_parameter
            else None
            for one in lowered.input_signature
        ),
        outputs=tuple(
            msgspec.structs.replace(spec, shape=tuple(one.shape), dtype=_DTYPES[one.dtype])
            for spec, one in zip(hub.outputs, lowered.output_signature, strict=True)
        ),
    )


def _portable(lowered: MlirLowered) -> bytes:
    """The module as a StableHLO artifact that later and older TensorFlow releases read."""
    from litert_converter.mlir import passmanager
    from tensorflow.compiler.mlir.stablehlo import stablehlo

    with lowered.ctx:
        passmanager.PassManager.parse(_PASSES).run(lowered.module.operation)
    # TensorFlow knows no arith dialect; its constants are written like StableHLO's.
    text = lowered.module.operation.get_asm(enable_debug_info=False)
    text = text.replace("arith.constant", "stablehlo.constant")
    made: bytes = stablehlo.serialize_portable_artifact_str(text, stablehlo.get_minimum_version())
    return made


def _require_numbers(program: _Program) -> None:
    sums = {
        f"weight {index}": float(weight.double().sum())
        for index, weight in enumerate(program.arguments)
        if weight is not None and weight.is_floating_point()
    }
    require_numbers(sums, _TOOL)


def _save(program: _Program, image: TensorSpec, folder: Path) -> None:
    try:
        with quiet(), silent_stderr():
            tensorflow, _ = import_tensorflow()
            model = tensorflow.Module()
            signature = _signature(tensorflow, model, program, image)
            tensorflow.saved_model.save(model, str(folder), signatures={SIGNATURE: signature})
    except (ModuleNotFoundError, OSError):
        raise
    except Exception as error:  # TensorFlow raises many unrelated classes here
        raise ConversionFailed("TensorFlow could not save", found=first_line(error)) from error


def _signature(tensorflow: Any, model: Any, program: _Program, image: TensorSpec) -> Any:
    """The concrete function that serves; its variables become the model's."""
    from tensorflow.compiler.tf2xla.python import xla

    variables = [
        None
        if weight is None
        else tensorflow.Variable(weight.numpy(), trainable=False, name=f"weight_{index}")
        for index, weight in enumerate(program.arguments)
    ]
    model.weights = [one for one in variables if one is not None]
    spec = tensorflow.TensorSpec(image.shape, image.dtype, name=image.name)

    def serve(pixels: Any) -> dict[str, Any]:
        results = xla.call_module(
            tuple(pixels if one is None else one for one in variables),
            version=xla.call_module_maximum_supported_version(),
            Tout=[getattr(tensorflow, one.dtype) for one in program.outputs],
            Sout=[list(one.shape) for one in program.outputs],
            module=program.module,
            platforms=["CPU"],
        )
        return {one.name: value for one, value in zip(program.outputs, results, strict=True)}

    model.serve = tensorflow.function(serve, input_signature=[spec])
    return model.serve.get_concrete_function()
