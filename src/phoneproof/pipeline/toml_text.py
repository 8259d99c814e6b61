"""Writing TOML: values, comments and lines, safe for any text a path or a label may hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from phoneproof.core.errors import ConfigError

WIDTH: Final = 100
"""Lines longer than this carry their comment above."""

TomlValue = bool | int | float | str | Sequence["TomlValue"]


def toml_value(value: TomlValue) -> str:
    """A value on one line, e.g. ``["a", "b"]``.

    Raises:
        ConfigError: text that is not valid Unicode (a file name in another encoding).
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    return f"[{', '.join(toml_value(item) for item in value)}]"


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            "a name cannot be written into a configuration file",
            found=ascii(value),
            next_step="rename the file or class so that its name is valid Unicode",
        ) from error
    # JSON's escapes are TOML's, except that TOML also wants DEL escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def comment_text(text: str) -> str:
    """Any text as one line that a TOML comment may hold."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else "?" for c in line)


def comment(text: str) -> list[str]:
    """Comment lines of at most `WIDTH` characters."""
    lines = [""]
    for word in comment_text(text).split(" "):
        if lines[-1] and len(lines[-1]) + len(word) + 3 > WIDTH:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return [f"# {line}" for line in lines]


def assignment(key: str, value: TomlValue, why: str = "") -> list[str]:
    """``key = value  # why``, with the comment above where the line would be too long."""
    line = f"{key} = {toml_value(value)}"
    if len(line) > WIDTH and not isinstance(value, str | bool | int | float):
        line = "\n".join([f"{key} = [", *_wrapped(value), "]"])
    if not why:
        return line.split("\n")
    one_line = f"{line}  # {comment_text(why)}"
    if "\n" not in line and len(one_line) <= WIDTH:
        return [one_line]
    return [*comment(why), *line.split("\n")]


def disabled(lines: list[str]) -> list[str]:
    """The same lines as comments, to be enabled by hand."""
    return [line if line.startswith("#") else f"# {line}" for line in lines]


def _wrapped(values: Sequence[TomlValue]) -> list[str]:
    lines = ["   "]
    for item in (toml_value(value) for value in values):
        if len(lines[-1]) > 3 and len(lines[-1]) + len(item) + 2 > WIDTH:
            lines.append("   ")
        lines[-1] += f" {item},"
    return lines
