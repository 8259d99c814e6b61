"""Which arithmetic each operator of a TFLite file gets from a recipe, decided before anything is
written: an operator is either named here with its arithmetic, or it stays float32."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

from ai_edge_quantizer import algorithm_manager, qtyping
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.utils.tfl_flatbuffer_utils import TFL_OP_CODE_TO_NAME

from phoneproof.core.errors import OptimizationFailed, nearest
from phoneproof.core.recipe import Dynamic, Static, WeightOnly
from phoneproof.formats.inventory import ranked
from phoneproof.formats.tflite import WEIGHTS_AT, TfliteGraph, TfliteOp
from phoneproof.formats.tflite_layers import layer_name

Arithmetic = Literal["int8", "int16", "dynamic8", "expanded8", "expanded4"]
"""``int8``, ``int16``: activations of that type with int8 weights. ``dynamic8``: int8 weights,
activations quantized while running. ``expanded8``, ``expanded4``: integer weights, expanded to
float32 before use."""

Quantizing = Static | Dynamic | WeightOnly

_NAMES: Final = {
    name: TFL_OP_CODE_TO_NAME[code]
    for name, code in vars(qtyping.BuiltinOperator).items()
    if isinstance(code, int) and code in TFL_OP_CODE_TO_NAME
}
"""The format's name of an operator -> ai-edge-quantizer's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What each quantized operator gets, and what stays float32 against the recipe's wish.

    ops: (position in the graph, arithmetic). kept_float: (operator, how often) of those that the
    library does not quantize.
    """

    ops: tuple[tuple[int, Arithmetic], ...]
    kept_float: tuple[tuple[str, int], ...]


def plan_ops(graph: TfliteGraph, recipe: Quantizing) -> Plan:
    """Give every operator its arithmetic.

    A layer wanted in int16 whose operator has no int16 form stays float32 rather than int8: it
    was named because int8 is too coarse. 4-bit weights fall back to 8 bits where the operator
    (depthwise convolution) has no 4-bit form.

    Raises:
        OptimizationFailed: a layer of the recipe is not in the file, is named twice, or nothing
            is left to quantize.
    """
    _require_layers(graph, recipe)
    ops: list[tuple[int, Arithmetic]] = []
    kept: Counter[str] = Counter()
    for position, op in enumerate(graph.ops):
        wanted = _wanted(graph, op, recipe)
        if not wanted:
            continue
        given = next((kind for kind in wanted if supports(op, kind)), None)
        if given is None:
            kept[op.name] += 1
        else:
            ops.append((position, given))
    if not ops:
        raise OptimizationFailed(
            "the recipe leaves nothing to quantize",
            found=f"{len(graph.ops)} operators, none that the recipe and the library quantize",
            next_step="take layers out of float_layers, or ship the float32 file",
        )
    return Plan(ops=tuple(ops), kept_float=ranked(kept))


def float_activations(graph: TfliteGraph, op: TfliteOp) -> tuple[int, ...]:
    """Computed float32 tensors that an operator reads or writes, inputs first."""
    return tuple(
        index
        for index in op.inputs + op.outputs
        if index >= 0
        and graph.tensors[index].dtype == "float32"
        and not graph.tensors[index].data.size
    )


def has_weights(graph: TfliteGraph, op: TfliteOp) -> bool:
    """Whether an operator reads constant float32 weights."""
    at = WEIGHTS_AT.get(op.name)
    if at is None or at >= len(op.inputs):
        return False
    tensor = graph.tensors[op.inputs[at]]
    return tensor.dtype == "float32" and bool(tensor.data.size)


def op_config(kind: Arithmetic) -> qtyping.OpQuantizationConfig:
    """ai-edge-quantizer's words for an arithmetic: weights symmetric by channel."""
    weights = qtyping.TensorQuantizationConfig(
        num_bits=4 if kind == "expanded4" else 8,
        symmetric=True,
        granularity=qtyping.QuantGranularity.CHANNELWISE,
    )
    if kind in ("int8", "int16"):
        return static_config(16 if kind == "int16" else 8, weights)
    expanded = kind != "dynamic8"
    precision = qtyping.ComputePrecision.FLOAT if expanded else qtyping.ComputePrecision.INTEGER
    return qtyping.OpQuantizationConfig(
        weight_tensor_config=weights, compute_precision=precision, explicit_dequantize=expanded
    )


def static_config(
    bits: int, weights: qtyping.TensorQuantizationConfig, *, signed: bool = True
) -> qtyping.OpQuantizationConfig:
    """Activations of 8 bits (asymmetric) or 16 (symmetric, as the kernels ask)."""
    kind = qtyping.TensorDataType.INT if signed else qtyping.TensorDataType.UINT
    activations = qtyping.TensorQuantizationConfig(num_bits=bits, symmetric=bits == 16, dtype=kind)
    return qtyping.OpQuantizationConfig(
        activation_tensor_config=activations,
        weight_tensor_config=weights,
        compute_precision=qtyping.ComputePrecision.INTEGER,
    )


def supports(op: TfliteOp, kind: Arithmetic) -> bool:
    """Whether ai-edge-quantizer's published policy has this operator in this arithmetic.

    The kernel of an int16 SOFTMAX looks exp up in a table: on MobileNetV2 its output has 25 dB
    where the same numbers in float32 keep 49, and 40 at int8. In int16 it helps nobody.
    """
    name = None if op.custom else _NAMES.get(op.name)
    if name is None or (op.name, kind) == ("SOFTMAX", "int16"):
        return False
    try:
        algorithm_manager.check_op_quantization_config(
            AlgorithmName.MIN_MAX_UNIFORM_QUANT, name, op_config(kind)
        )
    except ValueError:
        return False
    return True


def _wanted(graph: TfliteGraph, op: TfliteOp, recipe: Quantizing) -> tuple[Arithmetic, ...]:
    """Arithmetics in order of preference; empty where the recipe wants float32."""
    name = layer_name(graph, op)
    if name in recipe.float_layers or op.name in ("QUANTIZE", "DEQUANTIZE"):
        return ()
    if isinstance(recipe, Static):
        if not float_activations(graph, op):
            return ()
        return ("int16",) if name in recipe.int16_layers else ("int8",)
    if not has_weights(graph, op):
        return ()
    if isinstance(recipe, Dynamic):
        return ("dynamic8",)
    return ("expanded8",) if recipe.bits == 8 else ("expanded4", "expanded8")


def _require_layers(graph: TfliteGraph, recipe: Quantizing) -> None:
    known = {layer_name(graph, op) for op in graph.ops}
    wide = recipe.int16_layers if isinstance(recipe, Static) else ()
    unknown = [name for name in (*recipe.float_layers, *wide) if name not in known]
    if unknown:
        near = nearest(unknown[0], known)
        others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise OptimizationFailed(
            "the recipe names a layer that is not in the file",
            found=f"{unknown[0]!r}{others}",
            next_step=f"did you mean {near!r}?" if near else "name layers by their first output",
        )
    both = sorted(set(recipe.float_layers) & set(wide))
    if both:
        raise OptimizationFailed(
            "the recipe wants one layer both in float32 and in int16", found=both[0]
        )
