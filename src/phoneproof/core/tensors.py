"""Tensor specifications that runtimes and model files share."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from phoneproof.core.binding import DType, Quant


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Name, shape (-1: dynamic) and dtype of one tensor; `quant` where it is quantised."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    quant: Quant | None = None


_OTHERS: Final = re.compile(r"[^A-Za-z0-9_]")


def identifiers(names: tuple[str, ...]) -> dict[str, str]:
    """Name -> letters, digits and underscores, no digit in front, each unlike the others.

    What tensors are called in files of formats that take no other names (Core ML).
    """
    found: dict[str, str] = {}
    for name in names:
        plain = _OTHERS.sub("_", name)
        plain = plain if plain[:1].isalpha() or plain[:1] == "_" else f"tensor_{plain}"
        taken, number, first = set(found.values()), 1, plain
        while plain in taken:
            number += 1
            plain = f"{first}_{number}"
        found[name] = plain
    return found
