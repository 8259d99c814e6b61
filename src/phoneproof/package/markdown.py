"""Markdown that shows every text as it is, hostile ones included."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SPECIAL = re.compile(r"([\\`*{}\[\]<>#|!&~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
"""An underscore inside a word (map50_95) means nothing to Markdown and stays readable."""


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def bullets(lines: Sequence[str]) -> str:
    """A list, an item a line."""
    return "\n".join(f"- {plain(line)}" for line in lines)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with escaped cells."""
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(plain(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)
