"""The precision of an ONNX file is read from what its weights are computed with."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import DTypeLike
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array

from phoneproof.formats.onnx_precision import onnx_precision, tensor_bytes


def weights(name: str, dtype: DTypeLike, size: int = 16) -> onnx.TensorProto:
    return from_array(np.ones((size, size), dtype), name)


def rounded(name: str, zero: DTypeLike) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """QuantizeLinear and DequantizeLinear of an activation, to ``name/real``."""
    constants = [
        from_array(np.array(0.1, np.float32), "scale"),
        from_array(np.zeros((), zero), "zero"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", [name, "scale", "zero"], [f"{name}/q"]),
        helper.make_node("DequantizeLinear", [f"{name}/q", "scale", "zero"], [f"{name}/real"]),
    ]
    return nodes, constants


def expanded(dtype: DTypeLike) -> tuple[onnx.NodeProto, onnx.TensorProto]:
    node = helper.make_node("DequantizeLinear", ["w8", "scale"], ["w"])
    return node, weights("w8", dtype)


@pytest.mark.parametrize(
    ("zero", "precision"),
    [
        (np.uint8, "static_wi8_ai8"),
        (np.int8, "static_wi8_ai8"),
        (np.int16, "static_wi8_ai16"),
        (np.uint16, "static_wi8_ai16"),
    ],
)
def test_integers_on_both_sides_are_static(zero: DTypeLike, precision: str) -> None:
    nodes, constants = rounded("x", zero)
    node, w = expanded(np.int8)
    product = helper.make_node("MatMul", ["x/real", "w"], ["y"])
    assert onnx_precision([*nodes, node, product], [*constants, w]) == precision


def test_integer_weights_of_a_float_input_are_weights_alone() -> None:
    """A rounded activation elsewhere in the file does not make this layer one of integers."""
    nodes, constants = rounded("other", np.uint8)
    node, w = expanded(np.int8)
    product = helper.make_node("MatMul", ["x", "w"], ["y"])
    assert onnx_precision([*nodes, node, product], [*constants, w]) == "weight_only_wi8"


def test_four_bits_are_weights_alone_of_four_bits() -> None:
    w = helper.make_tensor("w8", TensorProto.INT4, [3, 3], bytes(5), raw=True)
    node = helper.make_node("DequantizeLinear", ["w8", "scale"], ["w"])
    product = helper.make_node("MatMul", ["x", "w"], ["y"])
    assert onnx_precision([node, product], [w]) == "weight_only_wi4"
    assert tensor_bytes(w) == 5


@pytest.mark.parametrize(
    ("op", "index", "precision"),
    [
        ("ConvInteger", 1, "dynamic_wi8"),
        ("MatMulInteger", 1, "dynamic_wi8"),
        ("QLinearConv", 3, "static_wi8_ai8"),
        ("QLinearMatMul", 3, "static_wi8_ai8"),
    ],
)
def test_integer_operators_say_it_themselves(op: str, index: int, precision: str) -> None:
    inputs = [f"in{i}" for i in range(index)] + ["w"]
    node = helper.make_node(op, inputs, ["y"])
    assert onnx_precision([node], [weights("w", np.int8)]) == precision


@pytest.mark.parametrize("behind_cast", [True, False])
def test_float16(behind_cast: bool) -> None:
    stored = weights("w16" if behind_cast else "w", np.float16)
    cast = helper.make_node("Cast", ["w16"], ["w"], to=TensorProto.FLOAT)
    product = helper.make_node("Gemm", ["x", "w"], ["y"])
    assert onnx_precision([cast, product] if behind_cast else [product], [stored]) == "float16"


def test_scales_and_biases_are_no_weights() -> None:
    """A thin network has as many bytes of scales as of weights."""
    node, w = expanded(np.int8)
    product = helper.make_node("Gemm", ["x", "w", "bias"], ["y"])
    others = [from_array(np.ones(512, np.float32), name) for name in ("bias", "scale")]
    assert onnx_precision([node, product], [w, *others]) == "weight_only_wi8"


def test_both_kinds_are_mixed() -> None:
    node, w = expanded(np.int8)
    first = helper.make_node("MatMul", ["x", "w"], ["y"])
    second = helper.make_node("MatMul", ["y", "v"], ["z"])
    assert onnx_precision([node, first, second], [w, weights("v", np.float32)]) == "mixed"


def test_weights_in_constant_nodes_count() -> None:
    constant = helper.make_node("Constant", [], ["w"], value=weights("", np.float16))
    product = helper.make_node("MatMul", ["x", "w"], ["y"])
    assert onnx_precision([constant, product], []) == "float16"


@pytest.mark.parametrize(("dtype", "precision"), [(np.float16, "float16"), (None, "float32")])
def test_without_layers_of_weights_the_constants_decide(
    dtype: DTypeLike | None, precision: str
) -> None:
    add = helper.make_node("Add", ["x", "c"], ["y"])
    constants = [] if dtype is None else [weights("c", dtype)]
    assert onnx_precision([add], constants) == precision
