"""The words of an architecture's layer table: names, numbers, literals. Nothing is evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NoReturn

from phoneproof.capture.backends.torch_files.records import shown
from phoneproof.core.errors import InvalidInput

Argument = int | float | bool | str | tuple[int, ...] | None

MAX_NUMBER = 16384
"""Largest whole number in a list of them."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}(\.[A-Za-z_][A-Za-z0-9_]{0,63}){0,4}")
_WORD = re.compile(r"[A-Za-z][A-Za-z_]{0,31}")
_INTEGER = re.compile(r"-?[0-9]{1,9}")
_DECIMAL = re.compile(r"-?[0-9]{0,9}\.[0-9]{1,9}")


def module_name(value: object) -> str:
    """A row's module: a dotted name.

    Raises:
        InvalidInput: anything else, such as an expression.
    """
    if not isinstance(value, str) or not NAME.fullmatch(value):
        refuse("module name", value)
    return value.removeprefix("torch.") if value.startswith("torch.nn.") else value


def argument(value: object, classes: int) -> Argument:
    """A row's argument: a literal, whole numbers, the word ``nc`` (class count) or a plain word.

    Raises:
        InvalidInput: anything else, such as an expression.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple) and 1 <= len(value) <= 8:
        return tuple(count(item, "argument's number", MAX_NUMBER) for item in value)
    if not isinstance(value, str):
        refuse("argument", value)
    words: Mapping[str, Argument] = {"nc": classes, "None": None, "True": True, "False": False}
    if value in words:
        return words[value]
    if _INTEGER.fullmatch(value):
        return int(value)
    if _DECIMAL.fullmatch(value):
        return float(value)
    if not _WORD.fullmatch(value):
        refuse("argument", value)
    return value


def count(value: object, what: str, limit: int) -> int:
    """A whole number in 1..limit."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
        refuse(what, value)
    return value


def refuse(what: str, value: object) -> NoReturn:
    """Raise InvalidInput: `what` is not what a layer table holds, `value` is the offending text."""
    raise InvalidInput(
        f"the checkpoint's architecture is not a layer table: {what}",
        found=shown(value),
        next_step="nothing in it was evaluated; give an unmodified checkpoint",
    )
