"""What to change in a model so that a delegate takes an operator it now leaves."""

from __future__ import annotations

from typing import Final

_ANYWHERE: Final = {
    "RESIZE_NEAREST_NEIGHBOR": (
        "enlarging by 2 gives the same values as CONCATENATION of the map with itself along the "
        "channels and a RESHAPE to twice the width, then the same with each row as one vector for "
        "the height; RESIZE_BILINEAR is taken too, but computes something else: train with it"
    ),
    "BROADCAST_TO": "let ADD or MUL broadcast, or repeat the map by CONCATENATION with itself",
    "TILE": "repeat the map by CONCATENATION with itself",
    "GATHER": "picking neighbours in a row is a SLICE",
    "GATHER_ND": "picking neighbours in a row is a SLICE",
    "ARG_MAX": "give the scores out and let the app look for the largest one",
    "TOPK_V2": "end the model before it and let the app select",
    "NON_MAX_SUPPRESSION_V4": "end the model before it and let the app suppress",
    "NON_MAX_SUPPRESSION_V5": "end the model before it and let the app suppress",
    "TFLite_Detection_PostProcess": "end the model before it and let the app decode",
    "CAST": "keep values in float, and give whole numbers out as float",
    "SPLIT": "into more than four, or of uneven parts: use one SLICE for each part",
    "SPLIT_V": "use one SLICE for each part",
    "PACK": "RESHAPE each part to one more dimension, then CONCATENATION",
    "UNPACK": "SLICE and RESHAPE",
    "EXPAND_DIMS": "RESHAPE does the same",
    "SQUEEZE": "RESHAPE does the same",
    "SHAPE": "fix the input's size when exporting: shapes become constants",
    "FILL": "fix the input's size when exporting: the filled tensor becomes a constant",
    "MIRROR_PAD": "train with zero padding (PAD)",
    "STRIDED_SLICE": "a stride of 2 over rows and columns is SPACE_TO_DEPTH and a SLICE",
    "POW": "a square is MUL with itself, a root SQRT",
    "LEAKY_RELU": "PRELU with one slope",
    "PRELU": "a slope that is one for all channels is LEAKY_RELU",
}
_WHERE_QUANTIZED: Final = {
    "SOFTMAX": "leave it in float: it holds no weights and little work",
    "MAXIMUM": "leave it in float, or fuse it as RELU",
    "MINIMUM": "leave it in float, or fuse it as RELU6",
    "DIV": "by a constant: MUL with its reciprocal",
    "EXP": "leave it in float",
    "SQRT": "leave it in float",
    "HARD_SWISH": "leave it in float, or train with RELU6",
    "AVERAGE_POOL_2D": "over the whole map MEAN does the same and is taken as int8",
}


def rewrite_for(op: str, reason: str, *, quantized: bool) -> str:
    """Advice for one operator; empty where nothing better is known.

    quantized: whether it computes with integers.
    """
    if quantized and op in _WHERE_QUANTIZED:
        return _WHERE_QUANTIZED[op]
    if "at most 4 dimensions" in reason:
        return "keep to four dimensions: fold the batch of 1 or join height and width first"
    if "int16, int32, int64" in reason:
        return "compute in float, and give whole numbers out as float"
    if "a bias" in reason:
        return "give the layer a bias of zeros"
    return _ANYWHERE.get(op, "")
