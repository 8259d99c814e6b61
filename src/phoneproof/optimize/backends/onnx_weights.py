"""Weights as int8 by output channel, and the two ways to compute with them where activations have
no fixed ranges: expanded before use, or multiplied as integers with activations that are
quantized while the model runs.

onnxruntime's quantize_dynamic gives a convolution one scale for all its channels, which costs a
depthwise one most of its digits; hence our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnx.numpy_helper import from_array, to_array

from phoneproof.optimize.backends.onnx_source import weighted

_LARGEST_INT8: Final = 127


def channel_axis(node: onnx.NodeProto, rank: int) -> int:
    """Which axis of the weights counts the output channels, from the front."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    return rank - 2 if node.op_type == "Gemm" and _flag(node, "transB") else rank - 1


def rounded(
    weights: NDArray[np.float32], axis: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 (-127..127) and one scale for each channel; 1 where a channel is all zero."""
    others = tuple(index for index in range(weights.ndim) if index != axis)
    largest = np.abs(weights).max(axis=others).astype(np.float32)
    scale = np.where(largest > 0, largest / np.float32(_LARGEST_INT8), 1).astype(np.float32)
    shape = [1] * weights.ndim
    shape[axis] = -1
    values = np.rint(weights / scale.reshape(shape)).clip(-_LARGEST_INT8, _LARGEST_INT8)
    return values.astype(np.int8), scale


def expand_before_use(model: onnx.ModelProto, float_layers: Sequence[str]) -> int:
    """Weight-only: int8 weights behind a DequantizeLinear each, in place (opset 13 or later).

    Returns:
        the number of weight tensors that are int8 now.
    """
    layers = {w.name: (node, w) for node, w in weighted(model) if node.name not in float_layers}
    nodes = []
    for name, (node, tensor) in layers.items():
        axis = channel_axis(node, len(tensor.dims))
        values, scale = rounded(to_array(tensor), axis)
        tensor.CopyFrom(from_array(values, f"{name}/int8"))
        model.graph.initializer.append(from_array(scale, f"{name}/scale"))
        inputs = [f"{name}/int8", f"{name}/scale"]
        nodes.append(helper.make_node("DequantizeLinear", inputs, [name], name=name, axis=axis))
    _set_nodes(model, [*nodes, *model.graph.node])
    return len(layers)


def multiply_integers(model: onnx.ModelProto, float_layers: Sequence[str]) -> int:
    """Dynamic range: ConvInteger and MatMulInteger between DynamicQuantizeLinear and the scales.

    Layers without such an operator (transposed convolutions) are left as they are.

    Returns:
        the number of layers that compute with integers now.
    """
    layers = {
        node.name: (node, tensor)
        for node, tensor in weighted(model)
        if node.name not in float_layers and _has_integer_form(node, tensor)
    }
    nodes: list[onnx.NodeProto] = []
    prepared: dict[str, onnx.NodeProto] = {}
    for node in model.graph.node:
        if node.name not in layers:
            nodes.append(node)
            continue
        fed = node.input[0]
        if fed not in prepared:
            outputs = [f"{fed}/uint8", f"{fed}/uint8_scale", f"{fed}/uint8_zero"]
            prepared[fed] = helper.make_node(
                "DynamicQuantizeLinear", [fed], outputs, name=f"{fed}/uint8"
            )
            nodes.append(prepared[fed])
        nodes += _integer_layer(model, node, layers[node.name][1])
    _set_nodes(model, nodes)
    return len(layers)


def _has_integer_form(node: onnx.NodeProto, tensor: onnx.TensorProto) -> bool:
    if node.op_type == "Gemm":
        plain = all(a.f == 1.0 for a in node.attribute if a.name in ("alpha", "beta"))
        return plain and not _flag(node, "transA")
    return node.op_type == "Conv" or (node.op_type == "MatMul" and len(tensor.dims) == 2)


def _integer_layer(
    model: onnx.ModelProto, node: onnx.NodeProto, tensor: onnx.TensorProto
) -> list[onnx.NodeProto]:
    """The nodes that compute one layer, from the quantized input to the layer's own output."""
    name, fed = node.output[0], node.input[0]
    is_conv = node.op_type == "Conv"
    values, scale = rounded(to_array(tensor), channel_axis(node, len(tensor.dims)))
    if node.op_type == "Gemm" and _flag(node, "transB"):
        values = np.ascontiguousarray(values.T)
    # Scales and biases meet the output [N, C, H, W] or [..., C].
    shape = (1, -1) + (1,) * (len(tensor.dims) - 2) if is_conv else (-1,)
    constants: dict[str, NDArray[np.int8] | NDArray[np.float32]] = {
        "int8": values,
        "scale": scale.reshape(shape),
    }
    bias = node.input[2] if len(node.input) > 2 and node.input[2] else ""
    known = {one.name: one for one in model.graph.initializer}
    if bias in known and is_conv:
        constants["bias"] = to_array(known[bias]).astype(np.float32).reshape(shape)
        bias = f"{name}/bias"
    model.graph.initializer.extend(from_array(v, f"{name}/{k}") for k, v in constants.items())
    made = helper.make_node(
        "ConvInteger" if is_conv else "MatMulInteger",
        [f"{fed}/uint8", f"{name}/int8", f"{fed}/uint8_zero"],
        [f"{name}/int32"],
        name=f"{name}/int32",
    )
    if is_conv:
        made.attribute.extend(node.attribute)
    cast = _node("Cast", [f"{name}/int32"], f"{name}/float32")
    cast.attribute.append(helper.make_attribute("to", onnx.TensorProto.FLOAT))
    scaled = f"{name}/scaled" if bias else name
    nodes = [
        made,
        cast,
        _node("Mul", [f"{fed}/uint8_scale", f"{name}/scale"], f"{name}/scales"),
        _node("Mul", [f"{name}/float32", f"{name}/scales"], scaled),
    ]
    return [*nodes, _node("Add", [scaled, bias], name)] if bias else nodes


def _node(op: str, inputs: list[str], output: str) -> onnx.NodeProto:
    return helper.make_node(op, inputs, [output], name=output)


def _flag(node: onnx.NodeProto, name: str) -> bool:
    return any(attribute.i for attribute in node.attribute if attribute.name == name)


def _set_nodes(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> None:
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
