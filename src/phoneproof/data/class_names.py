"""Class names that a data set brings along: names lists and the small YAML files around YOLO."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

from phoneproof.core.errors import InvalidInput

MAX_NAMES_BYTES: Final = 4 << 20
"""A file of class names is small; a larger one is something else."""

_ENTRY = re.compile(r"^\s*(?:-|(\d+)\s*:)\s+(.*)$")
_FLOW_ENTRY = re.compile(
    r"""\s*(?:(\d+)\s*:\s*)?("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,\]\}]*?)\s*(,|$)"""
)


def read_names(path: Path) -> tuple[str, ...]:
    """Class names of a labels file: `names` of a YAML file, else one name a line.

    Raises:
        InvalidInput: it cannot be read as such a file.
    """
    text = _read_text(path)
    if path.suffix.lower() in (".yaml", ".yml"):
        return yaml_names(text, what=path.name)
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_NAMES_BYTES:
            raise InvalidInput(f"{path.name} is too large to be a list of class names")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path.name} cannot be read as text", found=str(error)) from error


def yaml_names(text: str, *, what: str) -> tuple[str, ...]:
    """The top-level `names` of a YAML text: a list or a map from class number, block or flow.

    Only this much of YAML is read; anything else in the text is passed over, nothing is
    constructed. Returns an empty tuple where there is no `names`.

    Raises:
        InvalidInput: `names` is there in a form that is not understood, or numbers are missing.
    """
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if start is None:
        return ()
    head = _without_comment(lines[start].split(":", 1)[1]).strip()
    rest = lines[start + 1 :]
    pairs = _flow(head, rest) if head else _block(rest)
    if not pairs:
        raise InvalidInput(
            f"the names in {what} are not understood",
            next_step="write names: as a list, or as lines like '0: person'",
        )
    return _in_order(pairs, what)


def _block(lines: list[str]) -> list[tuple[int, str]]:
    pairs: list[tuple[int, str]] = []
    for raw in lines:
        line = _without_comment(raw)
        if not line.strip():
            continue
        match = _ENTRY.match(line)
        if match is None:
            break
        number, value = match.groups()
        pairs.append((len(pairs) if number is None else int(number), _scalar(value)))
    return pairs


def _flow(head: str, rest: list[str]) -> list[tuple[int, str]]:
    close = {"[": "]", "{": "}"}.get(head[0])
    if close is None:
        return []
    text = " ".join([head, *map(_without_comment, rest)])[1:]
    pairs: list[tuple[int, str]] = []
    position = 0
    while position < len(text) and text[position:].lstrip()[:1] != close:
        match = _FLOW_ENTRY.match(text, position)
        if match is None:  # the last entry: up to the closing bracket
            match = re.compile(_FLOW_ENTRY.pattern.replace("(,|$)", f"(\\{close})")).match(
                text, position
            )
            if match is None:
                return []
        number, value, end = match.groups()
        pairs.append((len(pairs) if number is None else int(number), _scalar(value)))
        position = match.end()
        if end == close:
            break
    return pairs


def _scalar(text: str) -> str:
    value = text.strip()
    if value.startswith("'") and value.endswith("'") and len(value) > 1:
        return value[1:-1].replace("''", "'")
    if value.startswith('"') and value.endswith('"') and len(value) > 1:
        try:
            return str(ast.literal_eval(value))
        except (ValueError, SyntaxError):
            return value[1:-1]
    return value


def _without_comment(line: str) -> str:
    """The line without a comment; a # inside quotes or a word is none."""
    quote = ""
    for index, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"" and (index == 0 or line[index - 1] in " [{,:"):
            quote = char
        elif char == "#" and (index == 0 or line[index - 1].isspace()):
            return line[:index]
    return line


def _in_order(pairs: list[tuple[int, str]], what: str) -> tuple[str, ...]:
    by_number = dict(pairs)
    if sorted(by_number) != list(range(len(pairs))):
        raise InvalidInput(
            f"the class numbers in {what} have gaps or repeat",
            found=f"{len(pairs)} names, numbers {min(by_number)}..{max(by_number)}",
            next_step="number the classes 0, 1, 2, ... without gaps",
        )
    return tuple(by_number[number] for number in range(len(pairs)))
