"""The operators that XNNPACK takes on the CPU, and under which conditions.

From LiteRT's sources, tflite/delegates/xnnpack (README.md and the checks of xnnpack_delegate.cc)
at commit f67457790c9c of 2026-08-21, as built into the Python package: signed and unsigned 8-bit
arithmetic is on. What the README says of fewer inputs or axes is older than the code.
tests/integration holds the table against the delegate itself.
"""

from __future__ import annotations

from typing import Final

from phoneproof.formats.delegates.rules import (
    EIGHT_BIT,
    FLOAT,
    Condition,
    Node,
    Rules,
    constant_inputs,
    fused,
    inputs_between,
    option_is,
    output_rank_between,
    outputs_between,
    rank_between,
)
from phoneproof.formats.tflite import TfliteTensor

SOURCE: Final = (
    "LiteRT, tflite/delegates/xnnpack/xnnpack_delegate.cc at f67457790c9c (2026-08-21), "
    "read 2026-11-21"
)
MAX_RANK: Final = 6


def _plain(tensor: TfliteTensor, types: frozenset[str]) -> bool:
    """The type, and one scale for the whole tensor where it is an integer one."""
    return tensor.dtype in types and (tensor.dtype in FLOAT or tensor.quant is not None)


def _typed(types: frozenset[str], says: str) -> Condition:
    """The type of the computed inputs and the outputs; constants that set shapes are integers."""

    def holds(node: Node) -> bool:
        data = [t for t in node.present() if t.dtype not in ("int32", "int64") or not t.data.size]
        return all(_plain(tensor, types) for tensor in (*data, *node.outputs))

    return Condition(says=says, holds=holds)


def _same_type(node: Node) -> bool:
    return len({t.dtype for t in (*node.present()[:2], *node.outputs)}) == 1


def _ratio(node: Node, at: int, low: float, high: float) -> bool:
    """Scale of an input over that of the output, where both are 8-bit."""
    tensor, output = node.input(at), node.outputs[0]
    if tensor is None or tensor.quant is None or output.quant is None:
        return True
    return output.quant.scale > 0 and low <= tensor.quant.scale / output.quant.scale < high


def _sum_scales(node: Node) -> bool:
    return all(_ratio(node, at, 1 / 1024, 256) for at in (0, 1))


def _product_scale(node: Node) -> bool:
    second = node.input(1)
    factor = second.quant.scale if second is not None and second.quant is not None else 1.0
    return factor > 0 and _ratio(node, 0, 1 / 65536 / factor, 256 / factor)


def _weights(axis: int, *, dynamic: bool) -> Condition:
    """Filter and bias of a convolution or a matrix product.

    dynamic: whether float activations may meet int8 weights.
    """

    def holds(node: Node) -> bool:
        source, filters = node.input(_ACTIVATIONS.get(node.op.name, 0)), node.input(1)
        if source is None or filters is None or not _plain(source, FLOAT | EIGHT_BIT):
            return False
        if filters.channel_quant is not None and filters.channel_quant.axis != axis:
            return False
        mixed = dynamic and source.dtype == "float32" and filters.dtype == "int8"
        same = filters.dtype == source.dtype or (
            node.constant[1] and {filters.dtype, source.dtype} <= FLOAT
        )
        return node.outputs[0].dtype == source.dtype and (same or mixed)

    kinds = "float or 8-bit activations with weights of the same type"
    return Condition(says=kinds + (", or int8 weights" if dynamic else ""), holds=holds)


_ACTIVATIONS: Final = {"TRANSPOSE_CONV": 2}

_FLOATS = _typed(FLOAT, "float tensors")
_FLOAT_OR_8 = _typed(FLOAT | EIGHT_BIT, "float tensors, or 8-bit ones with one scale")
_FLOAT_OR_INT8 = _typed(FLOAT | {"int8"}, "float tensors, or int8 ones with one scale")
_RANK = rank_between(0, MAX_RANK, 0, 1)
_ACTIVATION = fused(frozenset({0, 1, 2, 3}), "no fused activation but RELU, RELU6, RELU_N1_TO_1")
_ONE_TYPE = Condition(says="one type for inputs and output", holds=_same_type)
_BIAS = Condition(says="a bias", holds=lambda n: len(n.inputs) == 3 and n.input(2) is not None)
_UNARY: Rules = (inputs_between(1, 1), _FLOATS, rank_between(0, MAX_RANK, 0))
_BINARY: Rules = (inputs_between(2, 2), _FLOATS, _RANK)


def _pool(node: Node) -> bool:
    options = node.op.options
    sides = [(options.number(f"filter{a}"), options.number(f"stride{b}")) for a, b in _SIDES]
    return all(0 < stride <= size for size, stride in sides)


_SIDES: Final = (("Width", "W"), ("Height", "H"))
_WINDOW = Condition(says="a stride no longer than the window", holds=_pool)
_BLOCK = Condition(
    says="a block of more than 1", holds=lambda n: n.op.options.number("blockSize") > 1
)


def _reshape(node: Node) -> bool:
    source, result = node.input(0), node.outputs[0]
    if len(node.inputs) > 1 and node.input(1) is not None and not node.constant[1]:
        return False
    return source is not None and source.quant == result.quant


def _not_negative(node: Node) -> bool:
    values = node.whole(1)
    return values is not None and bool((values >= 0).all())


def _sizes(node: Node) -> bool:
    values = node.whole(2)
    return values is not None and bool((values > 0).all())


def _ones(node: Node) -> bool:
    values = node.whole(3)
    return values is not None and bool((values == 1).all())


def _every_axis(node: Node) -> bool:
    source = node.input(0)
    given = [node.input(at) for at in (1, 2, 3)]
    return source is not None and all(t and t.shape == (len(source.shape),) for t in given)


def _alpha(node: Node) -> bool:
    return node.op.options.real("alpha") != 0.0 and _ratio(node, 0, 1 / 256, 128.0001)


def _requantized(node: Node) -> bool:
    source = node.input(0)
    return (
        source is not None
        and _plain(node.outputs[0], EIGHT_BIT)
        and (
            source.dtype in FLOAT
            or (source.dtype == node.outputs[0].dtype and _ratio(node, 0, 1 / 256, 128.0001))
        )
    )


def _dequantized(node: Node) -> bool:
    source = node.input(0)
    return source is not None and _plain(source, EIGHT_BIT) and node.outputs[0].dtype in FLOAT


def _concatenable(node: Node) -> bool:
    axis = node.op.options.number("axis")
    output = node.outputs[0]
    if output.dtype == "uint8" and any(t.quant != output.quant for t in node.present()):
        return False
    return all(axis < len(t.shape) for t in node.present())


def _matrices(node: Node) -> bool:
    first, second = node.input(0), node.input(1)
    if first is None or second is None or min(len(first.shape), len(second.shape)) < 2:
        return False
    dynamic = first.dtype == "float32" and second.dtype == "int8"
    return _plain(node.outputs[0], FLOAT | EIGHT_BIT) and (first.dtype == second.dtype or dynamic)


_IMAGE = output_rank_between(4, 4)
_FILTER = (inputs_between(3, 3), rank_between(4, 4, 0, 1), constant_inputs(1, 2), _BIAS, _IMAGE)
_REDUCE: Rules = (inputs_between(2, 2), constant_inputs(1), _FLOAT_OR_8)
_ARITHMETIC: Rules = (inputs_between(2, 2), _FLOAT_OR_8, _ONE_TYPE, _RANK, _ACTIVATION)
_SUM_SCALES = Condition(says="scales within 1/1024 to 256 of the output's", holds=_sum_scales)
_PRODUCT = Condition(says="a product scale within 1/65536 to 256", holds=_product_scale)

TABLE: Final[dict[str, Rules]] = {
    **dict.fromkeys(
        ("ABS", "CEIL", "COS", "EXP", "FLOOR", "GELU", "HARD_SWISH", "LOG", "NEG", "RELU"), _UNARY
    ),
    **dict.fromkeys(
        ("RELU6", "RELU_N1_TO_1", "ROUND", "RSQRT", "SIN", "SQRT", "SQUARE"), _UNARY
    ),
    **dict.fromkeys(("LOGISTIC", "TANH"), (inputs_between(1, 1), _FLOAT_OR_8)),
    **dict.fromkeys(("MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"), _BINARY),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"), _REDUCE),
    **dict.fromkeys(("DEPTH_TO_SPACE", "SPACE_TO_DEPTH"), (_FLOAT_OR_8, _BLOCK)),
    **dict.fromkeys(("ADD", "SUB"), (*_ARITHMETIC, _SUM_SCALES)),
    "MUL": (*_ARITHMETIC, _PRODUCT),
    "DIV": (*_BINARY, _ACTIVATION),
    "PRELU": (*_BINARY, constant_inputs(1)),
    "ELU": (inputs_between(1, 1), _FLOAT_OR_INT8),
    "LEAKY_RELU": (_FLOAT_OR_8, Condition(says="a slope and scales in reach", holds=_alpha)),
    "QUANTIZE": (Condition(says="float or equally signed 8-bit input", holds=_requantized),),
    "DEQUANTIZE": (Condition(says="8-bit input with one scale", holds=_dequantized),),
    "AVERAGE_POOL_2D": (_FLOATS, _WINDOW, _ACTIVATION),
    "MAX_POOL_2D": (_FLOAT_OR_8, _WINDOW, _ACTIVATION),
    "CONV_2D": (*_FILTER, _weights(0, dynamic=True), _ACTIVATION),
    "DEPTHWISE_CONV_2D": (*_FILTER, _weights(3, dynamic=False), _ACTIVATION),
    "TRANSPOSE_CONV": (
        inputs_between(3, 4),
        constant_inputs(0, 1, 3),
        _IMAGE,
        _weights(0, dynamic=True),
    ),
    "FULLY_CONNECTED": (
        inputs_between(2, 3),
        constant_inputs(1, 2),
        option_is("weightsFormat", 0, "plainly ordered weights"),
        _weights(0, dynamic=True),
        _ACTIVATION,
    ),
    "BATCH_MATMUL": (Condition(says="matrices of one type, or int8 second", holds=_matrices),),
    "CONCATENATION": (
        inputs_between(2, 5),
        _FLOAT_OR_8,
        Condition(says="an existing axis, and one scale where uint8", holds=_concatenable),
    ),
    "PAD": (
        constant_inputs(1),
        _FLOAT_OR_8,
        rank_between(1, MAX_RANK, 0),
        output_rank_between(1, MAX_RANK),
        Condition(says="paddings of 0 or more", holds=_not_negative),
    ),
    "RESHAPE": (
        _FLOAT_OR_8,
        rank_between(0, MAX_RANK, 0),
        Condition(says="a constant shape, and equal scales", holds=_reshape),
    ),
    "RESIZE_BILINEAR": (constant_inputs(1), _FLOAT_OR_8, rank_between(4, 4, 0), _IMAGE),
    "SLICE": (
        constant_inputs(1, 2),
        _FLOAT_OR_8,
        Condition(says="sizes above 0 (-1 is not understood)", holds=_sizes),
    ),
    "SOFTMAX": (
        _FLOATS,
        Condition(says="beta = 1", holds=lambda n: n.op.options.real("beta", 1.0) == 1.0),
    ),
    "SPLIT": (constant_inputs(0), _FLOAT_OR_8, outputs_between(2, 4)),
    "STRIDED_SLICE": (
        constant_inputs(1, 2, 3),
        _FLOAT_OR_8,
        option_is("ellipsisMask", 0, "no ellipsis"),
        option_is("newAxisMask", 0, "no new axis"),
        option_is("shrinkAxisMask", 0, "no dropped axis"),
        Condition(says="a begin, an end and a stride for each axis", holds=_every_axis),
        Condition(says="strides of 1", holds=_ones),
    ),
    "TRANSPOSE": (constant_inputs(1), _FLOAT_OR_8, rank_between(1, MAX_RANK, 0)),
}  # fmt: skip
"""Operator -> what is asked of it. One that is not here is left to TFLite's own kernels."""
