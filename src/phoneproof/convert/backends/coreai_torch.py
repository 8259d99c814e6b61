"""Hub -> Core AI (``.aimodel``) with Apple's coreai-torch, which is beta."""

from __future__ import annotations

import re
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

import torch
from coreai.authoring import AIProgram

from phoneproof.convert.artifact import artifact_binding, require_numbers, require_tensors
from phoneproof.convert.backends.coreai_resize import NEAREST, nearest
from phoneproof.convert.backends.hub_module import HubModule, load_module
from phoneproof.convert.base import ConvertRequest
from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Binding, Format
from phoneproof.core.errors import ConversionFailed, PhoneproofError, Unsupported, first_line
from phoneproof.formats.coreai import write_core_ai
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.formats.quiet import quiet, without_cycle_collection
from phoneproof.runtimes.backends.coreai import FUNCTION, tensors
from phoneproof.runtimes.backends.coreai_weights import precision

_TOOL: Final = "coreai-torch"
_OPERATOR: Final = re.compile(r"\baten\.\w+(?:\.\w+)?")


class CoreAiConverter:
    """coreai_torch.TorchConverter without debug information, then fixed names and metadata."""

    source: Format = "hub"
    format: Format = "coreai"

    def convert(self, request: ConvertRequest) -> WrittenModel:
        """Write one ``.aimodel`` folder with contract and binding in its metadata.

        The precision is the hub's: float16 arithmetic there gives a float16 file, small weights
        stay small. What the binding says is read back from the file.

        Raises:
            ConversionFailed: the library broke, or wrote another shape, dtype or NaN.
            Unsupported: an operator that Core AI lacks, and where it is.
        """
        hub = load_module(request)
        require_numbers(_sums(hub.module), _TOOL)
        program = _program(hub)
        with tempfile.TemporaryDirectory(prefix="phoneproof-") as scratch:
            made = Path(scratch, "model.aimodel")
            _save(program, made)
            binding = _binding(request, hub, made)
            entries = embedding(Embedded(contract=request.contract, binding=binding))
            write_core_ai(made, request.output, entries, _inner_functions(program))
        return WrittenModel(
            binding=binding,
            options=(("layout", request.layout),),
            tools=tuple((name, version(name)) for name in ("coreai-core", _TOOL, "torch")),
        )


def _program(hub: HubModule) -> AIProgram:
    try:
        with quiet(), without_cycle_collection():
            import coreai_torch  # warns while it is imported of torch's build number

            from phoneproof.convert.backends.coreai_coded import to_core_ai_codes

            to_core_ai_codes(hub.module)
            exported = torch.export.export(hub.module, (hub.example,))
            table = coreai_torch.get_decomp_table()
            table[NEAREST] = nearest
            exported = exported.run_decompositions(table)
            converter = coreai_torch.TorchConverter(mode=coreai_torch.TorchConverter.Mode.RELEASE)
            try:
                converter.add_exported_program(
                    exported,
                    input_names=[spec.name for spec in hub.inputs],
                    output_names=[spec.name for spec in hub.outputs],
                    entrypoint_name=FUNCTION,
                )
            except ValueError as error:
                raise _refused(error, exported.graph) from error
            return converter.to_coreai()
    except (ModuleNotFoundError, PhoneproofError):
        raise
    except Exception as error:  # the library raises whatever its passes met
        raise ConversionFailed(f"{_TOOL} broke", found=first_line(error)) from error


def _refused(error: ValueError, graph: torch.fx.Graph) -> PhoneproofError:
    """The library names operators; where they are is in the graph."""
    names = set(_OPERATOR.findall(str(error)))
    places = [node for node in graph.nodes if str(node.target) in names]
    if not places:
        return ConversionFailed(f"{_TOOL} refuses the model", found=first_line(error))
    first = places[0]
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return Unsupported(
        "the model needs operators that Core AI's converter does not have",
        found=f"{', '.join(sorted({str(node.target) for node in places}))} "
        f"(at {_place(first)}{more})",
        next_step="replace these layers in the model by standard ones, or leave coreai out of the "
        "formats of this target",
    )


def _place(node: torch.fx.Node) -> str:
    stack = node.meta.get("nn_module_stack") or {}
    path = str(list(stack.values())[-1][0]) if stack else ""
    return f"{path}/{node.name}" if path else node.name


def _save(program: AIProgram, path: Path) -> None:
    try:
        with quiet():
            program.save_asset(path)
    except (RuntimeError, OSError) as error:
        raise ConversionFailed(f"{_TOOL} broke", found=first_line(error)) from error


def _binding(request: ConvertRequest, hub: HubModule, made: Path) -> Binding:
    inputs, outputs = tensors(made)
    require_tensors(hub.inputs + hub.outputs, inputs + outputs, _TOOL)
    return artifact_binding(request, "coreai", precision(made), (inputs[0],), outputs)


def _inner_functions(program: AIProgram) -> tuple[str, ...]:
    """Names that the library ends with random letters. It offers no public way to list them."""
    body = program._module._mlir_module.body
    names = (str(operation.attributes["sym_name"]).strip('"') for operation in body.operations)
    return tuple(name for name in names if name != FUNCTION)


def _sums(module: torch.nn.Module) -> dict[str, float]:
    weights = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: float(value.double().sum()) for name, value in weights.items()}
