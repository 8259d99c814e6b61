"""TFLite float32 -> integers with ai-edge-quantizer, from a recipe and our own ranges.

The library gets its statistics from us (`tflite_ranges`) and one rule for each operator
(`tflite_plan`); its own calibrator, a moving average that clips real peaks, is never called.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from ai_edge_quantizer import qtyping, quantizer, recipe_manager
from ai_edge_quantizer.algorithm_manager import AlgorithmName

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Binding, InputBinding, OutputBinding
from phoneproof.core.errors import InvalidInput, OptimizationFailed, first_line
from phoneproof.core.json_format import canonical_bytes
from phoneproof.core.recipe import Dynamic, IoType, Recipe, Static, WeightOnly
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.quiet import quiet
from phoneproof.formats.tflite import (
    TfliteGraph,
    inventory,
    parse_tflite,
    read_tflite,
    tflite_tensors,
)
from phoneproof.formats.tflite_layers import layer_name
from phoneproof.formats.tflite_values import is_quantised
from phoneproof.optimize.backends.tflite_candidate import write_candidate
from phoneproof.optimize.backends.tflite_plan import (
    Arithmetic,
    Plan,
    Quantizing,
    op_config,
    plan_ops,
    static_config,
)
from phoneproof.optimize.backends.tflite_ranges import Statistics, statistics, with_input_bounds
from phoneproof.optimize.base import OptimizeRequest
from phoneproof.optimize.read_bounds import read_bounds

_EVERYTHING: Final = "^"


class TfliteQuantized:
    """Static, dynamic and weight-only integers; what the library cannot quantize stays float32
    and is named in the options (``kept_float``)."""

    def propose(self, request: OptimizeRequest) -> WrittenModel:
        """Write the candidate.

        Raises:
            InvalidInput: not a TFLite file, or one that is quantized already; ranges that are
                damaged, not finite or of another file.
            OptimizationFailed: the library broke, or the recipe does not fit the file.
        """
        recipe = _quantizing(request.recipe)
        source = read_tflite(request.artifact)
        _require_float32(source, request.artifact)
        plan = plan_ops(source, recipe)
        numbers = _statistics(request, source, plan)
        data = _quantized(request.artifact, _rules(source, plan, recipe), numbers)
        binding = _binding(request, source, data)
        write_candidate(request, source, binding, data)
        return WrittenModel(
            binding=binding,
            options=_options(recipe, plan),
            tools=(("ai-edge-quantizer", version("ai-edge-quantizer")),),
        )


def _quantizing(recipe: Recipe) -> Quantizing:
    if isinstance(recipe, Static | Dynamic | WeightOnly):
        return recipe
    raise OptimizationFailed("this optimizer writes integers alone", found=repr(recipe))


def _require_float32(graph: TfliteGraph, path: Path) -> None:
    found = inventory(graph).precision
    integers = [tensor.name for tensor in graph.tensors if is_quantised(tensor)]
    if found != "float32" or integers:
        named = f"; tensor {integers[0]!r} holds integers" if integers else ""
        raise InvalidInput(
            f"{path.name} is quantized already and cannot be quantized again",
            found=f"its precision is {found}{named}",
            next_step="start from the float32 artifact",
        )


def _statistics(request: OptimizeRequest, source: TfliteGraph, plan: Plan) -> Statistics | None:
    if not isinstance(request.recipe, Static):
        return None
    measured = read_bounds(request.ranges, request.artifact, request.recipe.ranges)
    bounds = with_input_bounds(measured, source, request.contract, request.binding)
    io = request.recipe.io
    ins = source.inputs if io.input != "float32" else ()
    outs = source.outputs if io.output != "float32" else ()
    return statistics(source, plan, bounds, ins + outs)


def _rules(source: TfliteGraph, plan: Plan, recipe: Quantizing) -> qtyping.ModelQuantizationRecipe:
    """One rule for each arithmetic, over the exact names of its operators; the last match wins."""
    manager = recipe_manager.RecipeManager()
    for kind in sorted({kind for _, kind in plan.ops}):
        positions = (position for position, given in plan.ops if given == kind)
        manager.add_quantization_config(
            regex=_exactly(layer_name(source, source.ops[position]) for position in positions),
            operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
            op_config=op_config(kind),
            algorithm_key=AlgorithmName.MIN_MAX_UNIFORM_QUANT,
        )
    if isinstance(recipe, Static):
        _add_border(manager, qtyping.TFLOperationName.INPUT, recipe.io.input)
        _add_border(manager, qtyping.TFLOperationName.OUTPUT, recipe.io.output)
    return manager.get_quantization_recipe()


def _exactly(names: Iterable[str]) -> str:
    """The library looks for an expression in an operator's output names, each closed by ';'."""
    return f"^(?:{'|'.join(re.escape(name) for name in names)});"


def _add_border(
    manager: recipe_manager.RecipeManager, border: qtyping.TFLOperationName, kind: IoType
) -> None:
    if kind == "float32":
        manager.add_quantization_config(
            _EVERYTHING, border, algorithm_key=AlgorithmName.NO_QUANTIZE
        )
        return
    config = static_config(8, qtyping.TensorQuantizationConfig(num_bits=8), signed=kind == "int8")
    manager.add_quantization_config(
        _EVERYTHING, border, config, AlgorithmName.MIN_MAX_UNIFORM_QUANT
    )


def _quantized(
    path: Path, rules: qtyping.ModelQuantizationRecipe, numbers: Statistics | None
) -> bytes:
    try:
        with quiet():
            # The content, not the path: the library maps files into memory and keeps them open.
            work = quantizer.Quantizer(path.read_bytes())
            work.load_quantization_recipe(rules)
            return bytes(work.quantize(numbers, enable_progress_report=False).quantized_model)
    except Exception as error:  # the library raises whatever its passes met
        raise OptimizationFailed("ai-edge-quantizer broke", found=first_line(error)) from error


def _binding(request: OptimizeRequest, source: TfliteGraph, data: bytes) -> Binding:
    """The float32 file's binding with the precision, types and scales that were really written."""
    graph = parse_tflite(data, request.output.name)
    precision = inventory(graph).precision
    if precision == "float32":
        raise OptimizationFailed(
            "ai-edge-quantizer left the weights as they were",
            found=f"{len(source.ops)} operators before, {len(graph.ops)} after, no integer weights",
        )
    ins, outs = tflite_tensors(graph)
    by_name = {
        before: spec for (before, _), spec in zip(source.signature_outputs, outs, strict=True)
    }
    return msgspec.structs.replace(
        request.binding,
        artifact=None,
        precision=precision,
        inputs=(_bound_input(request.binding.image, ins[0]),),
        outputs=tuple(
            _bound_output(item, by_name[item.tensor]) for item in request.binding.outputs
        ),
    )


def _bound_input(item: InputBinding, spec: TensorSpec) -> InputBinding:
    return msgspec.structs.replace(item, dtype=spec.dtype, quant=spec.quant)


def _bound_output(item: OutputBinding, spec: TensorSpec) -> OutputBinding:
    return msgspec.structs.replace(item, dtype=spec.dtype, quant=spec.quant)


def _options(recipe: Quantizing, plan: Plan) -> tuple[tuple[str, str], ...]:
    counts: dict[Arithmetic, int] = {}
    for _, kind in plan.ops:
        counts[kind] = counts.get(kind, 0) + 1
    return (
        ("algorithm", "min_max_uniform_quantize"),
        ("kept_float", canonical_bytes(plan.kept_float).decode()),
        ("operators", canonical_bytes(counts).decode()),
        ("recipe", canonical_bytes(recipe).decode()),
    )
