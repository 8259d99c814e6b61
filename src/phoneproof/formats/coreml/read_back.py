"""What a Core ML program really computes in: multiply-accumulates, and which share of operations,
weights and work is of which type. Read from shapes and types alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from phoneproof.core.optimization import ReadBack
from phoneproof.formats.coreml.file import read_coreml
from phoneproof.formats.coreml.pipeline import network_of
from phoneproof.formats.coreml.precision import WEIGHTS_AT, weights_maker
from phoneproof.formats.coreml.program import (
    BITS,
    Argument,
    BlobReference,
    Immediate,
    Operation,
    Reference,
    TensorType,
    ValueType,
)
from phoneproof.formats.coreml.program_read import program_of
from phoneproof.formats.shares import Tally

_CONVERSIONS: Final = ("cast", "quantize", "dequantize")
"""They change how a number is written, and compute nothing."""
_STORED: Final = ("const", "constexpr_")
_WORDS: Final[Mapping[str, str]] = {
    "constexpr_affine_dequantize": "int{bits} weights",
    "constexpr_blockwise_shift_scale": "int{bits} weights",
    "constexpr_lut_to_dense": "{bits}-bit palette weights",
    "constexpr_sparse_to_dense": "sparse weights",
}

_INTEGERS: Final[Mapping[str, str]] = {
    "constexpr_affine_dequantize": "quantized_data",
    "constexpr_blockwise_shift_scale": "data",
}
"""The parameter that holds them."""


def coreml_contents(path: Path) -> ReadBack | None:
    """What an mlprogram, or the network of a detector's pipeline, holds; null for models of other
    kinds. Nothing is compressed.

    Operations count for the type of what they make (``float16``, ``float32``); layers whose
    weights are stored otherwise are named by that (``int8 weights``), and ``int8`` where what
    they read comes as integers too.

    Raises:
        InvalidInput: not a Core ML model, or damaged.
        Unsupported: a pipeline of other models.
    """
    file = network_of(read_coreml(path))
    if file.kind != "mlProgram":
        return None
    program = program_of(file)
    made = {out.name: one for one in program.operations for out in one.outputs}
    types = {one.name: one.type for one in program.inputs}
    types |= {out.name: out.type for one in program.operations for out in one.outputs}
    tally, readers = Tally(), dict[str, str]()
    for operation in program.operations:
        if operation.type in _CONVERSIONS or operation.type.startswith(_STORED):
            continue
        kind = _kind(operation, made)
        tally.ops[kind] += 1
        if macs := _macs(operation, types):
            tally.macs[kind] += macs
        for name in _read_constants(operation, made):
            readers.setdefault(name, kind)
    for name, kind in readers.items():
        tally.weights[kind] += _bytes(made[name], made)
    return tally.read_back(fused=(), zeros=None)


def _kind(operation: Operation, made: Mapping[str, Operation]) -> str:
    kind = operation.outputs[0].type
    computed = kind.dtype if isinstance(kind, TensorType) else "none"
    maker = weights_maker(operation, made)
    if maker is None or maker.type == "const":
        return computed
    bits = _bits(maker, made)
    fed = any(
        isinstance(one, Reference) and one.name in made and made[one.name].type == "dequantize"
        for one in operation.inputs.get("x", ())
    )
    if fed and bits == 8:
        return "int8"
    return _WORDS.get(maker.type, "{bits}-bit weights").format(bits=bits)


def _read_constants(operation: Operation, made: Mapping[str, Operation]) -> list[str]:
    """Names of the constants that an operation reads."""
    names = [
        one.name
        for values in operation.inputs.values()
        for one in values
        if isinstance(one, Reference)
    ]
    return [name for name in names if name in made and made[name].type.startswith(_STORED)]


def _bytes(maker: Operation, made: Mapping[str, Operation]) -> int:
    """What a constant takes in the file, its scales, palette and mask included."""
    values: list[Argument] = [*maker.attributes.values()]
    values += [one for given in maker.inputs.values() for one in given]
    total = 0
    for one in values:
        if isinstance(one, Reference) and one.name in made:
            total += _bytes(made[one.name], made)
        elif isinstance(one, (Immediate, BlobReference)):
            total += -(-math.prod(one.type.shape) * BITS[one.type.dtype] // 8)
    return total


def _bits(maker: Operation, made: Mapping[str, Operation]) -> int:
    """Of a stored weight: what numbers its palette, or its integers."""
    name = "lut" if maker.type == "constexpr_lut_to_dense" else _INTEGERS.get(maker.type, "")
    given = maker.attributes.get(name) or next(iter(maker.inputs.get(name, ())), None)
    held = _held(given, made) if given is not None else None
    if held is None:
        return 0
    if name == "lut":  # [N], from iOS 18 on [..., N, width]
        return (held.shape[-2] if len(held.shape) > 1 else held.shape[0]).bit_length() - 1
    return BITS[held.dtype]


def _held(one: Argument, made: Mapping[str, Operation]) -> TensorType | None:
    if isinstance(one, Reference):
        kind = made[one.name].outputs[0].type if one.name in made else None
        return kind if isinstance(kind, TensorType) else None
    return one.type if isinstance(one, (Immediate, BlobReference)) else None


def _macs(operation: Operation, types: Mapping[str, ValueType]) -> int:
    """Multiply-accumulates of one operation; 0 for those that are no sums of products.

    Weights are [out, in / groups, ...] of conv, [in, out / groups, ...] of conv_transpose and
    [out, in] of linear (MIL's operator reference of coremltools).
    """
    at = WEIGHTS_AT.get(operation.type)
    if at is None:
        return 0
    weight, data = (_sides(operation, name, types) for name in (at, "x"))
    result = operation.outputs[0].type
    made = math.prod(result.shape) if isinstance(result, TensorType) else 0
    if operation.type == "matmul":
        return made * data[-1] if data else 0
    if operation.type == "conv_transpose":
        return math.prod(data) * math.prod(weight[1:])
    return made * math.prod(weight[1:])


def _sides(operation: Operation, name: str, types: Mapping[str, ValueType]) -> tuple[int, ...]:
    for one in operation.inputs.get(name, ()):
        kind = types.get(one.name) if isinstance(one, Reference) else getattr(one, "type", None)
        if isinstance(kind, TensorType):
            return kind.shape
    return ()
