"""int8 and int16 activations with int8 weights, written as QuantizeLinear and DequantizeLinear by
onnxruntime.quantization around the float32 operators; the ranges are ours.

Two choices were measured with ONNX Runtime 1.31 on an x86 with VNNI, on twelve images each:

- uint8 activations: as near to float32 as int8 ones (21.0 and 20.6 dB on MobileNetV2, 22.7 and
  22.6 on a ResNet-8), and faster there (5 ms and 9 ms).
- All eight bits of the weights. `reduce_range` keeps seven, so that pairs of products fit the
  16-bit sums of x86 processors without VNNI; it costs 7 dB on MobileNetV2 and 4 on the ResNet-8.
  The session option ``session.x64quantprecision = 1`` is ONNX Runtime's way to exact sums on such
  processors; none was at hand to measure it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import QuantType
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from phoneproof.core.errors import OptimizationFailed, first_line
from phoneproof.core.recipe import Static
from phoneproof.formats.quiet import quiet
from phoneproof.optimize.backends.onnx_source import own_weights

Bounds = Mapping[str, tuple[float, float]]
_Override = dict[str, object]

QUANTIZED_OPS: Final = frozenset({*QDQRegistry, *QLinearOpsRegistry})
"""What onnxruntime.quantization puts between integers; other operators stay float32."""

_ACTIVATION: Final = QuantType.QUInt8
_CUTS: Final = ("Relu", "Clip")
_WEIGHTED: Final = ("Conv", "ConvTranspose")


def quantize(model: onnx.ModelProto, recipe: Static, bounds: Bounds) -> onnx.ModelProto:
    """The quantized model.

    Weights: int8 by channel, symmetric, -127..127. Activations: uint8 by tensor, int16 in int16
    layers, both with a zero point, so that the range of a ReLU begins at zero and cuts. The tensors
    that the app reads are not rounded, unless a convolution needs it to be one of integers.

    Args:
        model: of opset 13 or later, 21 with int16 layers; it is changed. bounds: of every float
            activation, real units.

    Raises:
        OptimizationFailed: an activation without a range, or the library broke.
    """
    own_weights(model, recipe.float_layers)
    typed = onnx.shape_inference.infer_shapes(model, data_prop=True)
    ranges = _ranges(typed, recipe, bounds)
    try:
        with quiet():
            work = QDQQuantizer(
                typed,
                per_channel=True,
                reduce_range=False,
                weight_qType=QuantType.QInt8,
                activation_qType=_ACTIVATION,
                tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
                nodes_to_quantize=[],
                nodes_to_exclude=[*recipe.float_layers, *_uncut(typed)],
                op_types_to_quantize=sorted(QUANTIZED_OPS),
                extra_options={"TensorQuantOverrides": _int16(typed, recipe)},
            )
            work.quantize_model()
            work.model.topological_sort()
    except Exception as error:  # the library raises whatever its passes met
        raise OptimizationFailed(
            "onnxruntime.quantization broke", found=first_line(error)
        ) from error
    quantized: onnx.ModelProto = work.model.model
    _leave_outputs(quantized)
    return quantized


def kept_float(model: onnx.ModelProto) -> tuple[str, ...]:
    """Kinds of operators that compute float values and that stay float32 whatever the recipe."""
    typed = onnx.shape_inference.infer_shapes(model)
    floats = _floats(typed)
    return tuple(
        sorted(
            {
                node.op_type
                for node in typed.graph.node
                if node.op_type not in QUANTIZED_OPS and floats.intersection(node.output)
            }
        )
    )


def _ranges(
    model: onnx.ModelProto, recipe: Static, bounds: Bounds
) -> dict[str, tuple[np.float32, np.float32]]:
    """Tensor -> (low, high), for every float activation that a quantized layer touches.

    The library takes Relu and Clip away and lets the range cut instead: theirs must not be wider
    than what they let through, and those that a range cannot stand for are kept (`_uncut`).
    """
    found = dict(bounds)
    for node in model.graph.node:
        name = node.output[0]
        if node.op_type in _CUTS and name in found:
            low, high = _let_through(model, node)
            found[name] = (max(found[name][0], low), min(found[name][1], high))
    for name in _touched(model, recipe):
        if name not in found:
            raise OptimizationFailed(
                "an activation has no calibrated range",
                found=f"tensor {name!r}",
                next_step="calibrate this very file, or keep the layers around it float32",
            )
    return {name: (np.float32(low), np.float32(high)) for name, (low, high) in found.items()}


def _uncut(model: onnx.ModelProto) -> list[str]:
    """Clips that no range can stand for: every range holds zero, and limits may be computed."""
    computed = {name for node in model.graph.node for name in node.output}
    found = []
    for node in model.graph.node:
        if node.op_type == "Clip":
            low, high = _let_through(model, node)
            if low > 0 or high < 0 or computed.intersection(node.input[1:]):
                found.append(node.name)
    return found


def _let_through(model: onnx.ModelProto, node: onnx.NodeProto) -> tuple[float, float]:
    if node.op_type == "Relu":
        return 0.0, math.inf
    known = {one.name: one for one in model.graph.initializer if one.name in node.input[1:]}
    limits = [-math.inf, math.inf]
    for index, name in enumerate(node.input[1:3]):
        if name in known:
            limits[index] = float(numpy_helper.to_array(known[name]).reshape(-1)[0])
    return limits[0], limits[1]


def _floats(model: onnx.ModelProto) -> set[str]:
    """Names of the float32 tensors that are computed or fed."""
    graph = model.graph
    values = (*graph.input, *graph.value_info, *graph.output)
    found = {
        value.name for value in values if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    return found - {tensor.name for tensor in graph.initializer}


def _is_taken(node: onnx.NodeProto, recipe: Static) -> bool:
    return node.op_type in QUANTIZED_OPS and node.name not in recipe.float_layers


def _touched(model: onnx.ModelProto, recipe: Static) -> tuple[str, ...]:
    """Float tensors that quantized layers read and write, in the file's order."""
    floats = _floats(model)
    names = (
        name
        for node in model.graph.node
        if _is_taken(node, recipe)
        for name in (*node.input, *node.output)
    )
    return tuple(dict.fromkeys(name for name in names if name in floats))


def _int16(model: onnx.ModelProto, recipe: Static) -> dict[str, list[_Override]]:
    """How the library is told of int16 tensors: what int16 layers write, and what they read from
    float layers or from the app. 8-bit layers read such a tensor rounded once more.

    An int16 layer takes the Relu or Clip behind it along: as integers they are one operator.
    """
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    wide = set(recipe.int16_layers)
    for node in model.graph.node:
        behind = readers.get(node.output[0], [])
        if node.name in wide and len(behind) == 1 and behind[0].op_type in _CUTS:
            wide.add(behind[0].name)
    rounded = {out for node in model.graph.node if _is_taken(node, recipe) for out in node.output}
    written = {out for node in model.graph.node if node.name in wide for out in node.output}
    read = {one for node in model.graph.node if node.name in wide for one in node.input}
    overrides: dict[str, list[_Override]] = {}
    for name in sorted((written | (read - rounded)) & _floats(model)):
        narrow = {node.name for node in readers.get(name, []) if node.name not in wide}
        override: _Override = {"quant_type": QuantType.QInt16}
        if narrow:
            override["convert"] = {"quant_type": _ACTIVATION, "recv_nodes": narrow}
        overrides[name] = [override]
    return overrides


def _leave_outputs(model: onnx.ModelProto) -> None:
    """Take the rounding of graph outputs away, in place, where no other layer reads it.

    A last Concat of boxes and scores then has no scale that both would share.
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    reads = [name for node in graph.node for name in node.input]
    removed: set[str] = set()
    for value in graph.output:
        back = makers[value.name]
        forth = makers.get(back.input[0])
        if back.op_type != "DequantizeLinear" or forth is None:
            continue
        maker = makers.get(forth.input[0])
        if maker is None or maker.op_type in _WEIGHTED:
            continue
        if any(reads.count(name) > 1 for name in (forth.input[0], forth.output[0])):
            continue
        index = list(maker.output).index(forth.input[0])
        maker.output[index] = value.name
        removed |= {back.name, forth.name}
    kept = [
        onnx.NodeProto.FromString(node.SerializeToString())
        for node in graph.node
        if node.name not in removed
    ]
    del graph.node[:]
    graph.node.extend(kept)
