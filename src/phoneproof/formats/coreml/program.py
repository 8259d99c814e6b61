"""A MIL program (the body of an ``mlprogram``) as plain frozen types.

Format: ``mlmodel/format/MIL.proto`` of coremltools (BSD-3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from numpy.typing import NDArray

MilDType = Literal[
    "bool",
    "string",
    "float16",
    "float32",
    "float64",
    "bfloat16",
    "int4",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint1",
    "uint2",
    "uint3",
    "uint4",
    "uint6",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]

BITS: Final[Mapping[MilDType, int]] = {
    name: 1 if name == "bool" else int(name.lstrip("abcdefghijklmnopqrstuvwxyz"))
    for name in get_args(MilDType)
    if name != "string"
}
"""Bits that one number takes where it is packed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorType:
    """dtype and shape; -1 stands for a side that is not fixed, () is a scalar."""

    dtype: MilDType
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherType:
    """What is no tensor: ``list``, ``dictionary``, ``tuple``, ``state``."""

    kind: str


ValueType = TensorType | OtherType


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """An input of the program or the output of an operation, by its name."""

    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Immediate:
    """Numbers that lie in the program itself.

    values: shape and dtype as declared; packed ones (int4, uint1 ...) widened to int8 or uint8.
    """

    type: TensorType
    values: NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A string."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TextList:
    """Several strings (class labels)."""

    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BlobReference:
    """Numbers that lie in a file of weights: its name as the program says it, and the offset of
    their header in bytes."""

    type: TensorType
    file: str
    offset: int


Value = Immediate | Text | TextList | BlobReference
Argument = Reference | Value


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedType:
    """A value's name and type."""

    name: str
    type: ValueType


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One operation.

    type: ``conv``, ``const`` ... name: the author's name for it, else that of its first output.
    inputs: parameter -> what it reads (several for variadic ones such as ``concat``'s values).
    attributes: other than the name; a ``const`` keeps its numbers in ``val``.
    """

    type: str
    name: str
    inputs: Mapping[str, tuple[Argument, ...]]
    outputs: tuple[NamedType, ...]
    attributes: Mapping[str, Value]


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """One function: operations in an order in which each reads only what comes before it.

    opset: ``CoreML5`` (iOS 15) to ``CoreML9`` (iOS 26).
    """

    inputs: tuple[NamedType, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]
    opset: str
