"""Which precision a MIL program has, read from its weights and from what feeds its layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from phoneproof.core.binding import Precision
from phoneproof.formats.coreml.program import (
    BITS,
    Argument,
    BlobReference,
    Immediate,
    Operation,
    Program,
    Reference,
    TensorType,
)
from phoneproof.formats.inventory import dominant

WEIGHTS_AT: Final[Mapping[str, str]] = {
    "conv": "weight",
    "conv_transpose": "weight",
    "linear": "weight",
    "matmul": "y",
}
"""Which parameter holds an operation's weights, where they are constant (Core ML's MIL ops)."""

_PLAIN: Final[Mapping[str, Precision]] = {"float32": "float32", "float16": "float16"}
_INTEGERS: Final[Mapping[int, Precision]] = {4: "weight_only_wi4", 8: "weight_only_wi8"}
_PALETTES: Final[Mapping[int, Precision]] = {16: "palette4", 64: "palette6"}
_HOLDS: Final[Mapping[str, str]] = {
    "const": "val",
    "constexpr_affine_dequantize": "quantized_data",
    "constexpr_blockwise_shift_scale": "data",
    "constexpr_lut_to_dense": "lut",
    "constexpr_sparse_to_dense": "nonzero_data",
}
"""What makes a constant -> its parameter that tells the precision."""


def precision_of(program: Program) -> Precision:
    """Of nearly all weights (by number), ``mixed`` where there is none.

    Without weights: float16 where an operation other than a cast computes in it, else float32.
    """
    made = {out.name: operation for operation in program.operations for out in operation.outputs}
    kinds: list[tuple[Precision, int]] = []
    for operation in program.operations:
        maker = weights_maker(operation, made)
        if maker is not None:
            kinds.append((_kind(operation, maker, made), _count(maker)))
    return dominant(kinds) or _without_weights(program)


def weights_maker(operation: Operation, made: Mapping[str, Operation]) -> Operation | None:
    """The operation that makes an operation's constant weights; null where it has none.

    made: name of a value -> the operation that makes it.
    """
    arguments = operation.inputs.get(WEIGHTS_AT.get(operation.type, ""), ())
    for argument in arguments:
        maker = made.get(argument.name) if isinstance(argument, Reference) else None
        if maker is not None and maker.type in _HOLDS:
            return maker
    return None


def _kind(operation: Operation, maker: Operation, made: Mapping[str, Operation]) -> Precision:
    held = _type(_parameter(maker, _HOLDS[maker.type]), made)
    if held is None:
        return "mixed"
    if maker.type == "constexpr_sparse_to_dense":
        return "sparse"
    if maker.type == "constexpr_lut_to_dense":
        last = held.shape[-2] if len(held.shape) > 2 else held.shape[0]
        return _PALETTES.get(last, "mixed")
    if maker.type == "const":
        return _PLAIN.get(held.dtype, "mixed")
    weights = _INTEGERS.get(BITS[held.dtype], "mixed")
    return "static_wi8_ai8" if weights == "weight_only_wi8" and _fed(operation, made) else weights


def _fed(operation: Operation, made: Mapping[str, Operation]) -> bool:
    """Whether what an operation computes on comes as 8-bit integers."""
    return any(
        isinstance(one, Reference) and one.name in made and made[one.name].type == "dequantize"
        for one in operation.inputs.get("x", ())
    )


def _parameter(operation: Operation, name: str) -> Argument | None:
    if name in operation.attributes:
        return operation.attributes[name]
    given = operation.inputs.get(name, ())
    return given[0] if given else None


def _type(argument: Argument | None, made: Mapping[str, Operation]) -> TensorType | None:
    if isinstance(argument, Reference):
        maker = made.get(argument.name)
        kind = maker.outputs[0].type if maker is not None else None
        return kind if isinstance(kind, TensorType) else None
    return argument.type if isinstance(argument, Immediate | BlobReference) else None


def _count(maker: Operation) -> int:
    kind = maker.outputs[0].type
    return math.prod(kind.shape) if isinstance(kind, TensorType) else 0


def _without_weights(program: Program) -> Precision:
    computed = {
        out.type.dtype
        for operation in program.operations
        for out in operation.outputs
        if operation.type not in ("const", "cast") and isinstance(out.type, TensorType)
    }
    return "float16" if "float16" in computed and "float32" not in computed else "float32"
