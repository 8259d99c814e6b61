"""The options of a TFLite operator, read by their names in the format's schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ai_edge_litert import schema_py_generated as schema

from phoneproof.core.errors import InvalidInput

_LONGEST: Final = 4096
"""Entries of a list option; the longest sensible one is a shape."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpOptions:
    """Options of one operator.

    fields: (name in the schema's camel case, value); empty where the operator has none, in which
    case every option reads as the schema's default. custom: the bytes of a custom operator's.
    """

    fields: tuple[tuple[str, bool | int | float | str | tuple[int, ...]], ...] = ()
    custom: bytes = b""

    def _get(self, name: str) -> bool | int | float | str | tuple[int, ...] | None:
        return next((value for key, value in self.fields if key == name), None)

    def number(self, name: str, default: int = 0) -> int:
        """A whole number or an enum's value."""
        value = self._get(name)
        return default if value is None else _number(name, value)

    def positive(self, name: str) -> int:
        """A whole number of at least 1 (strides, filter sides, block sizes).

        Raises:
            InvalidInput: absent, zero or negative.
        """
        value = self.number(name)
        if value < 1:
            raise InvalidInput(
                f"a TFLite operator's option {name} must be at least 1", found=str(value)
            )
        return value

    def flag(self, name: str) -> bool:
        """A truth value; false where absent."""
        return bool(self._get(name))

    def real(self, name: str, default: float = 0.0) -> float:
        """A floating-point number."""
        value = self._get(name)
        return float(value) if isinstance(value, (int, float)) else default

    def whole(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers; empty where absent."""
        value = self._get(name)
        return value if isinstance(value, tuple) else ()


NO_OPTIONS: Final = OpOptions()


def _number(name: str, value: object) -> int:
    if not isinstance(value, int):
        raise InvalidInput(f"a TFLite operator's option {name} is no number", found=repr(value))
    return int(value)


def read_options(op: Any) -> OpOptions:
    """The options of a schema operator.

    Raises:
        ValueError: a list longer than any shape; whatever flatbuffers raises of damaged tables.
    """
    length = op.CustomOptionsLength()
    if length:
        raw = op.CustomOptionsAsNumpy()
        if not 0 <= length <= len(op._tab.Bytes):
            raise ValueError(f"custom options of {length} bytes")
        return OpOptions(custom=raw.tobytes())
    table = op.BuiltinOptions()
    if table is None:
        return NO_OPTIONS
    kind = _OPTION_TABLES.get(op.BuiltinOptionsType())
    if kind is None:
        return NO_OPTIONS
    reader = kind()
    reader.Init(table.Bytes, table.Pos)
    return OpOptions(fields=tuple(_fields(reader)))


def _fields(reader: Any) -> list[tuple[str, bool | int | float | str | tuple[int, ...]]]:
    """Every getter of the generated class that takes no argument, and every list."""
    found: list[tuple[str, bool | int | float | str | tuple[int, ...]]] = []
    for name in _getters(type(reader)):
        key = name[0].lower() + name[1:]
        length = getattr(reader, f"{name}Length", None)
        if length is None:
            value = getattr(reader, name)()
            if isinstance(value, (bool, int, float)):
                found.append((key, value))
            continue
        if not 0 <= length() <= _LONGEST:
            raise ValueError(f"an option of {length()} entries")
        items = [getattr(reader, name)(index) for index in range(length())]
        if all(isinstance(item, int) for item in items):
            found.append((key, tuple(items)))
    return found


_NOT_FIELDS: Final = ("GetRootAs", "Init")
_SUFFIXES: Final = ("AsNumpy", "Length", "IsNone", "BufferHasIdentifier")


def _getters(kind: type) -> list[str]:
    return [
        name
        for name, member in vars(kind).items()
        if callable(member)
        and name[:1].isupper()
        and not name.startswith(_NOT_FIELDS)
        and not name.endswith(_SUFFIXES)
    ]


def _option_tables() -> dict[int, Any]:
    return {
        value: getattr(schema, name)
        for name, value in vars(schema.BuiltinOptions).items()
        if isinstance(value, int) and value and hasattr(schema, name)
    }


_OPTION_TABLES: Final = _option_tables()
