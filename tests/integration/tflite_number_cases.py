"""Arithmetic, functions, comparisons and reductions to be compared with LiteRT."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.integration.tflite_cases import (
    IMAGE,
    Array,
    Case,
    Make,
    ints,
    one,
    rng,
    weights,
)
from tests.integration.tflite_files import TfliteFile


def _with(op: str, other: Array, options: Any = None, *, left: bool = False) -> Make:
    def make(file: TfliteFile, x: int) -> Sequence[int]:
        pair = [x, file.const(other)]
        return [file.node(op, pair[::-1] if left else pair, options=options)]

    return make


_BINARY = {
    "ADD": schema.AddOptionsT(),
    "SUB": schema.SubOptionsT(),
    "MUL": schema.MulOptionsT(),
    "DIV": schema.DivOptionsT(),
    "MAXIMUM": schema.MaximumMinimumOptionsT(),
    "MINIMUM": schema.MaximumMinimumOptionsT(),
    "SQUARED_DIFFERENCE": schema.SquaredDifferenceOptionsT(),
    "POW": schema.PowOptionsT(),
    "FLOOR_DIV": schema.FloorDivOptionsT(),
    "FLOOR_MOD": schema.FloorModOptionsT(),
}


def binaries() -> list[Case]:
    shapes: dict[str, tuple[int, ...]] = {
        "number": (),
        "one": (1,),
        "channel": (4,),
        "row": (7, 1),
        "full": IMAGE,
    }
    cases = []
    for (op, options), (kind, shape) in itertools.product(_BINARY.items(), shapes.items()):
        other = rng(2).uniform(0.5, 2, shape).astype(np.float32)
        other = np.asarray(other, np.float32)
        for left in (False, True):
            name = f"{op.lower()}_{kind}_{'left' if left else 'right'}"
            make = _with(op, other, options, left=left)
            cases.append(Case(name=name, op=op, make=make, low=0.5))
    fused = schema.AddOptionsT(fusedActivationFunction=1)
    return [*cases, Case(name="add_relu", op="ADD", make=_with("ADD", weights(4), fused))]


def unaries() -> list[Case]:
    names = [
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "RELU_0_TO_1",
        "ELU",
        "HARD_SWISH",
        "LOGISTIC",
        "TANH",
        "EXP",
        "NEG",
        "ABS",
        "FLOOR",
        "CEIL",
        "ROUND",
        "SIGN",
        "SIN",
        "COS",
        "SQUARE",
    ]
    cases = [Case(name=op.lower(), op=op, make=one(op), low=-8, high=8) for op in names]
    cases += [
        Case(name=op.lower(), op=op, make=one(op), low=0.1, high=9)
        for op in ("LOG", "SQRT", "RSQRT")
    ]
    return [
        *cases,
        Case(name="leaky", op="LEAKY_RELU", make=one("LEAKY_RELU", schema.LeakyReluOptionsT(0.2))),
        Case(name="gelu", op="GELU", make=one("GELU", schema.GeluOptionsT(False))),
        Case(name="gelu_tanh", op="GELU", make=one("GELU", schema.GeluOptionsT(True))),
        Case(name="softmax", op="SOFTMAX", make=one("SOFTMAX", schema.SoftmaxOptionsT(1.0))),
        Case(name="softmax_2", op="SOFTMAX", make=one("SOFTMAX", schema.SoftmaxOptionsT(2.0))),
        Case(name="log_softmax", op="LOG_SOFTMAX", make=one("LOG_SOFTMAX")),
        Case(
            name="l2", op="L2_NORMALIZATION", make=one("L2_NORMALIZATION", schema.L2NormOptionsT())
        ),
        Case(name="prelu_channel", op="PRELU", make=one("PRELU", None, [weights(1, 1, 4)])),
        Case(name="prelu_place", op="PRELU", make=one("PRELU", None, [weights(9, 7, 4)])),
        Case(name="zeros_like", op="ZEROS_LIKE", make=_zeros_like),
        Case(name="add_n", op="ADD_N", make=_add_n),
        Case(name="quantize", op="QUANTIZE", make=_quantize),
    ]


def _zeros_like(file: TfliteFile, x: int) -> Sequence[int]:
    zeros = file.node("ZEROS_LIKE", [x], options=schema.ZerosLikeOptionsT())
    return [file.node("MAXIMUM", [x, zeros], options=schema.MaximumMinimumOptionsT())]


def _add_n(file: TfliteFile, x: int) -> Sequence[int]:
    return [file.node("ADD_N", [x, x, x], options=schema.AddNOptionsT())]


def _quantize(file: TfliteFile, x: int) -> Sequence[int]:
    """Fine steps: 4 / 65535, far below the comparison's limit."""
    whole = file.node("QUANTIZE", [x], dtype="int16", quant=(2 / 32767, 0))
    return [file.node("DEQUANTIZE", [whole])]


def _compare(op: str) -> Make:
    def make(file: TfliteFile, x: int) -> Sequence[int]:
        half = file.const(np.array([0.25], np.float32))
        which = file.node(op, [x, half], dtype="bool")
        both = file.node("LOGICAL_NOT", [which], dtype="bool")
        either = file.node("LOGICAL_OR", [which, both], dtype="bool")
        every = file.node("LOGICAL_AND", [which, either], dtype="bool")
        other = file.const(weights(*IMAGE))
        return [file.node("SELECT_V2", [every, x, other], options=schema.SelectV2OptionsT())]

    return make


def _select(file: TfliteFile, x: int) -> Sequence[int]:
    which = file.node("GREATER", [x, file.const(np.zeros((), np.float32))], dtype="bool")
    return [file.node("SELECT", [which, x, file.const(weights(*IMAGE))])]


def _cast(file: TfliteFile, x: int) -> Sequence[int]:
    whole = file.node("CAST", [x], dtype="int32", options=schema.CastOptionsT(0, 2))
    return [file.node("CAST", [whole], options=schema.CastOptionsT(2, 0))]


def choices() -> list[Case]:
    names = ["EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"]
    return [
        *(Case(name=f"{op.lower()}_select", op=op, make=_compare(op)) for op in names),
        Case(name="select", op="SELECT", make=_select),
        Case(name="cast", op="CAST", make=_cast, low=-9, high=9),
    ]


def reductions() -> list[Case]:
    names = ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")
    axes = {"hw": (1, 2), "c": (3,), "last": (-1,), "h": (1,), "hc": (1, 3)}
    cases = []
    for (kind, numbers), keep in itertools.product(axes.items(), (False, True)):
        options = schema.ReducerOptionsT(keep)
        for op in names if kind == "hw" else ("MEAN",):
            make = one(op, options, [ints(*numbers)])
            cases.append(Case(name=f"{op.lower()}_{kind}_{keep}", op=op, make=make))
    for op, axis in itertools.product(("ARG_MAX", "ARG_MIN"), (3, 1)):
        options = schema.ArgMaxOptionsT(2) if op == "ARG_MAX" else schema.ArgMinOptionsT(2)
        make = one(op, options, [ints(axis)], "int32")
        cases.append(Case(name=f"{op.lower()}_{axis}", op=op, make=make))
    return cases
