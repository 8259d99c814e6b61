"""What a pickle is read into: plain values and inert records. Nothing here can be called."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from phoneproof.core.errors import InvalidInput

TensorDType = Literal[
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"
]

ITEM_BYTES: Mapping[TensorDType, int] = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
}


@dataclass(frozen=True, slots=True)
class GlobalName:
    """A class or function the pickle names. It is never looked up."""

    module: str
    name: str

    @property
    def dotted(self) -> str:
        """``module.name``, at most 200 characters, fit for a terminal."""
        return printable(f"{self.module}.{self.name}")


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageRef:
    """One storage of the archive: entry ``data/<key>`` with `numel` elements."""

    key: str
    dtype: TensorDType
    numel: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorRef:
    """A strided view of a storage; offset and stride count elements."""

    storage: StorageRef
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    @property
    def numel(self) -> int:
        """Number of elements of the view."""
        return math.prod(self.shape)


@dataclass(eq=False, slots=True)
class Record:
    """An instance of a class that was not made: its name, arguments and state.

    Mutable, because a pickle fills an object after it has referred to it.

    args: what the constructor would have got. state: what ``__setstate__`` would have got.
    items, elements: what would have been stored by key or appended.
    """

    type: GlobalName
    args: tuple[object, ...] = ()
    state: object = None
    items: list[tuple[object, object]] = field(default_factory=list)
    elements: list[object] = field(default_factory=list)

    def attribute(self, name: str) -> object:
        """One entry of the state's attribute dict; None where it is absent."""
        return self._attribute_state.get(name)

    def has_attributes(self, *names: str) -> bool:
        """Whether all are entries of the attribute dict, which is not copied for it."""
        state = self._attribute_state
        return all(name in state for name in names)

    @property
    def attributes(self) -> Mapping[str, object]:
        """The attribute dict in the state (first of the pair where slots were pickled too)."""
        return text_keys(self._attribute_state)

    @property
    def _attribute_state(self) -> Mapping[object, object]:
        state = self.state
        if isinstance(state, tuple) and len(state) == 2:
            state = state[0]
        return state if isinstance(state, dict) else {}

    def __repr__(self) -> str:
        # Records may be cyclic or nested without bound; the name is all a message needs.
        return f"<record of {self.type.dotted}>"


def text_keys(value: Mapping[object, object]) -> dict[str, object]:
    """The entries whose key is text."""
    return {key: item for key, item in value.items() if isinstance(key, str)}


def printable(text: str) -> str:
    """At most 200 characters; control characters (terminal escapes) become question marks."""
    return "".join(c if c.isprintable() else "?" for c in text[:200])


def record_at(value: object, what: str) -> Record:
    """`value`, which must be a record.

    Raises:
        InvalidInput: it is something else; `what` names it.
    """
    if not isinstance(value, Record):
        raise InvalidInput(f"{what} is not a module", found=shown(value))
    return value


def shown(value: object) -> str:
    """A short text of any pickled value that is safe to make: bounded, never deep."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        text = repr(value) if not isinstance(value, int) else _int_text(value)
        return text if len(text) <= 120 else text[:117] + "..."
    if isinstance(value, Record | GlobalName):
        return value.type.dotted if isinstance(value, Record) else value.dotted
    if isinstance(value, list | tuple | dict):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__


def _int_text(value: int) -> str:
    # str() of a huge int is quadratic and refused by the interpreter past 4300 digits.
    return str(value) if value.bit_length() <= 256 else f"int of {value.bit_length()} bits"


def number(value: object) -> float | None:
    """A Python or pickled numpy scalar as float; None where it is neither.

    A numpy scalar is pickled as ``numpy.core.multiarray.scalar(dtype(code), bytes)``.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if not isinstance(value, int) or value.bit_length() < 1000 else None
    if isinstance(value, Record) and value.type.name == "scalar" and len(value.args) == 2:
        return _numpy_scalar(value.args[0], value.args[1])
    return None


def _numpy_scalar(dtype: object, data: object) -> float | None:
    if not isinstance(dtype, Record) or not dtype.args:
        return None
    formats = {"f8": "<d", "f4": "<f", "f2": "<e", "i8": "<q", "i4": "<i"}
    layout = formats.get(dtype.args[0]) if isinstance(dtype.args[0], str) else None
    if isinstance(data, Record) and data.type.dotted == "_codecs.encode" and data.args:
        # Protocol 2 has no bytes: they are written as latin-1 text.
        text = data.args[0]
        data = text.encode("latin-1", "replace") if isinstance(text, str) else None
    if layout is None or not isinstance(data, bytes) or len(data) != struct.calcsize(layout):
        return None
    return float(struct.unpack(layout, data)[0])
