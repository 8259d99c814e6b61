"""The operators that the GPU delegate (OpenCL, OpenGL, Metal) takes, and under which conditions.

From LiteRT's sources, tflite/tools/versioning/gpu_compatibility.cc (the operators) and
tflite/delegates/gpu/common/model_builder.cc (types and ranks of tensors) at commit f67457790c9c of
2026-08-21, with the delegate's default options: 8-bit models are allowed and run in float there.
Versions of operators and the limits of one GPU's driver are not looked at: a phone may take less.
Recurrent layers, embeddings and MediaPipe's custom operators, which it takes too, are left out.
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
    counted,
    fused,
    inputs_between,
    option_is,
    rank_between,
)
from phoneproof.formats.tflite import TfliteTensor

SOURCE: Final = (
    "LiteRT, tflite/tools/versioning/gpu_compatibility.cc and "
    "tflite/delegates/gpu/common/model_builder.cc at f67457790c9c (2026-08-21), read 2026-11-21"
)
MAX_RANK: Final = 4

_LOGICAL: Final = frozenset(
    {"EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL", "LOGICAL_AND"}
)
_MORE_IN: Final[dict[str, frozenset[str]]] = {
    "CAST": frozenset({"bool", "int32"}),
    "ONE_HOT": frozenset({"int32"}),
    "GATHER": frozenset({"int32"}),
    "SELECT": frozenset({"bool"}),
    "SELECT_V2": frozenset({"bool"}),
    "LOGICAL_AND": frozenset({"bool"}),
}
_MORE_OUT: Final[dict[str, frozenset[str]]] = {
    "CAST": frozenset({"bool", "int32"}),
    **dict.fromkeys(_LOGICAL, frozenset({"bool"})),
}


def _ranks(node: Node) -> bool:
    return all(len(t.shape) <= MAX_RANK for t in (*node.present(), *node.outputs))


def _types(node: Node) -> bool:
    ins = FLOAT | EIGHT_BIT | _MORE_IN.get(node.op.name, frozenset())
    outs = FLOAT | EIGHT_BIT | _MORE_OUT.get(node.op.name, frozenset())
    return all(t.dtype in ins for t in node.computed()) and all(
        t.dtype in outs for t in node.outputs
    )


_RANKS = Condition(says="tensors of at most 4 dimensions", holds=_ranks)
_TYPES = Condition(says="float or 8-bit values (no int16, int32, int64)", holds=_types)
EVERY: Final[Rules] = (_RANKS, _TYPES)
"""Asked of every operator."""


def _computed(low: int, high: int) -> Condition:
    return Condition(
        says=counted(low, high, "computed input"),
        holds=lambda node: low <= len(node.computed()) <= high,
    )


def _broadcast(node: Node) -> bool:
    """Ranks that differ must be one of three shapes, or a vector."""
    first, second = node.input(0), node.input(1)
    if first is None or second is None:
        return False
    if len(first.shape) == len(second.shape) or min(len(first.shape), len(second.shape)) <= 1:
        return True
    longer, shorter = sorted((first.shape, second.shape), key=len, reverse=True)
    if len(longer) != 4:
        return False
    if len(shorter) == 3:
        return longer[0] == 1
    return (longer[0] == 1 and shorter == (1, 1)) or (longer[0], longer[3]) == shorter


def _two_operands(node: Node) -> bool:
    constants = len(node.present()) - len(node.computed())
    return (len(node.computed()), constants) in ((2, 0), (1, 1))


def _depthwise(node: Node) -> bool:
    source, filters = node.input(0), node.input(1)
    if source is None or filters is None:
        return False
    result = node.outputs[0]
    if not len(source.shape) == len(filters.shape) == len(result.shape) == 4:
        return False
    multiplier = node.op.options.number("depthMultiplier", 1)
    return filters.shape[3] == result.shape[3] == source.shape[3] * multiplier


def _axes(node: Node) -> bool:
    axes = node.input(1)
    return axes is not None and node.constant[1] and axes.dtype == "int32"


def _paddings(node: Node) -> bool:
    paddings = node.input(1)
    return paddings is not None and paddings.shape in ((3, 2), (4, 2))


_CASTS: Final = frozenset(
    {("bool", "float32"), ("bool", "float16"), ("float32", "bool"), ("float16", "bool")}
    | {(a, b) for a in ("float32", "int32") for b in ("float32", "int32")}
)


def _castable(node: Node) -> bool:
    source = node.input(0)
    return source is not None and (source.dtype, node.outputs[0].dtype) in _CASTS


def _indices(node: Node) -> bool:
    indices = node.input(1)
    return indices is not None and len(indices.shape) == 1 and indices.dtype == "int32"


def _scalar_or_whole(tensor: TfliteTensor | None, shape: tuple[int, ...]) -> bool:
    return tensor is not None and tensor.shape in (shape, (), (1,))


def _choices(node: Node) -> bool:
    shape = node.outputs[0].shape
    return all(_scalar_or_whole(node.input(at), shape) for at in (1, 2))


def _not_int16(node: Node) -> bool:
    return all(t.dtype != "int16" for t in node.present())


def _resized(node: Node) -> bool:
    return not (node.op.options.flag("alignCorners") and node.op.options.flag("halfPixelCenters"))


_ACTIVATION = fused(frozenset({0, 1, 2, 3, 4}), "no fused activation but RELU*, TANH")
_ONE = _computed(1, 1)
_ANY: Rules = ()
_ELEMENT: Rules = (_ONE, inputs_between(1, 1))
_OPERANDS = Condition(says="two operands, at most one of them constant", holds=_two_operands)
_BROADCAST = Condition(says="operands of equal rank, or a plain broadcast", holds=_broadcast)
_AXES = Condition(says="constant int32 axes", holds=_axes)
_CONVOLUTION: Rules = (_computed(1, 2), _ACTIVATION)
_BLOCK = Condition(
    says="a block of more than 1", holds=lambda n: n.op.options.number("blockSize") > 1
)
_PADDED: Rules = (_ONE, Condition(says="paddings of 3 or 4 dimensions", holds=_paddings))

TABLE: Final[dict[str, Rules]] = {
    **dict.fromkeys(
        ("ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "GELU", "LOG", "LOGICAL_NOT", "LOGISTIC"),
        _ELEMENT,
    ),
    **dict.fromkeys(
        ("NEG", "ROUND", "RSQRT", "SIGN", "SIN", "SQRT", "SQUARE", "TANH", "HARD_SWISH"), _ELEMENT
    ),
    **dict.fromkeys(
        ("RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "PRELU", "CONCATENATION", "PACK"), _ANY
    ),
    **dict.fromkeys(("SPLIT", "SPLIT_V"), _ANY),
    **dict.fromkeys(("DIV", "SUB"), (_OPERANDS, _ACTIVATION)),
    **dict.fromkeys(
        ("ATAN2", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "MINIMUM", "POW", "RIGHT_SHIFT"),
        (_OPERANDS,),
    ),
    **dict.fromkeys(("SQUARED_DIFFERENCE", "LOGICAL_OR", *sorted(_LOGICAL)), (_OPERANDS,)),
    **dict.fromkeys(("ADD", "MUL"), (inputs_between(2, 2), _BROADCAST, _ACTIVATION)),
    **dict.fromkeys(
        ("MEAN", "SUM", "REDUCE_ALL", "REDUCE_ANY", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"),
        (_ONE, _AXES),
    ),
    "REVERSE_V2": (_ONE, _AXES),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), (_ONE, _ACTIVATION)),
    **dict.fromkeys(("DEPTH_TO_SPACE", "SPACE_TO_DEPTH"), (_ONE, _BLOCK)),
    **dict.fromkeys(("PAD", "PADV2"), _PADDED),
    "MIRROR_PAD": (*_PADDED, option_is("mode", 0, "reflection")),
    **dict.fromkeys(("RESHAPE", "TILE", "TOPK_V2", "TRANSPOSE", "QUANTIZE"), (_ONE,)),
    **dict.fromkeys(("CONV_2D", "TRANSPOSE_CONV"), _CONVOLUTION),
    "DEPTHWISE_CONV_2D": (
        *_CONVOLUTION,
        Condition(says="channels that are a multiple of the input's", holds=_depthwise),
    ),
    "FULLY_CONNECTED": (
        _computed(1, 2),
        option_is("weightsFormat", 0, "plainly ordered weights"),
    ),
    "BATCH_MATMUL": (inputs_between(2, 2),),
    "ADD_N": (inputs_between(2, 2),),
    "CUMSUM": (inputs_between(2, 2), constant_inputs(1)),
    "DYNAMIC_UPDATE_SLICE": (inputs_between(3, 3),),
    "ONE_HOT": (inputs_between(4, 4), constant_inputs(2, 3)),
    "CAST": (_ONE, Condition(says="float32, int32 or a truth value", holds=_castable)),
    "DEQUANTIZE": (
        inputs_between(1, 1),
        Condition(says="values that are not int16", holds=_not_int16),
    ),
    "GATHER": (Condition(says="int32 indices of one dimension", holds=_indices),),
    **dict.fromkeys(
        ("SELECT", "SELECT_V2"),
        (inputs_between(3, 3), Condition(says="choices of full size or scalars", holds=_choices)),
    ),
    "RESIZE_NEAREST_NEIGHBOR": (_ONE,),
    "RESIZE_BILINEAR": (
        _ONE,
        Condition(says="not align_corners with half_pixel_centers", holds=_resized),
    ),
    "SLICE": (inputs_between(3, 3), rank_between(3, 4, 0), constant_inputs(1, 2)),
    "SOFTMAX": (
        Condition(says="beta = 1", holds=lambda n: n.op.options.real("beta", 1.0) == 1.0),
    ),
    "STRIDED_SLICE": (
        inputs_between(4, 4),
        constant_inputs(1, 2, 3),
        option_is("ellipsisMask", 0, "no ellipsis"),
        option_is("newAxisMask", 0, "no new axis"),
        option_is("shrinkAxisMask", 0, "no dropped axis"),
        rank_between(3, 4, 0),
    ),
}  # fmt: skip
"""Operator -> what is asked of it beside `EVERY`. One that is not here stays on the CPU."""
