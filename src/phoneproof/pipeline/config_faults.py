"""Every fault of a configuration at once: msgspec alone stops at the first."""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Union, get_args, get_origin

import msgspec

from phoneproof.core.errors import ConfigError, nearest

_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing wrong, at a dotted place like ``contract.geometry[1].filter``."""

    place: str
    what: str


def faults_error(faults: tuple[Fault, ...], file_name: str) -> ConfigError:
    """One error that lists them all."""
    count = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
    lines = "".join(f"\n    {fault.place}: {fault.what}" for fault in faults)
    return ConfigError(
        f"{file_name} has {count}", found=lines, next_step="correct the file and run again"
    )


def path_hook(kind: type, value: object) -> object:
    """msgspec hook that reads a Path from a string."""
    if kind is not Path:
        raise NotImplementedError(kind)
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("expected a path as text")
    return Path(value)


def find_faults(value: object, hint: object, place: str) -> Iterator[Fault]:
    """Everything in a parsed TOML `value` that does not fit the type `hint`."""
    structs, item = _struct_choices(hint), _item_hint(hint)
    if isinstance(value, dict) and structs:
        yield from _table_faults(value, structs, place)
    elif isinstance(value, list) and item is not None:
        for index, element in enumerate(value):
            yield from find_faults(element, item, f"{place}[{index}]")
    elif not _finite(value):
        yield Fault(place=place, what="not a finite number")
    elif message := _convert_fault(value, hint):
        yield Fault(place=place, what=message)


def _table_faults(
    table: dict[str, object], structs: tuple[type[msgspec.Struct], ...], place: str
) -> Iterator[Fault]:
    tag_field = structs[0].__struct_config__.tag_field
    struct = structs[0]
    if tag_field is not None:
        by_tag = {str(s.__struct_config__.tag): s for s in structs}
        tag = table.get(tag_field)
        if not isinstance(tag, str) or tag not in by_tag:
            what = f"{tag!r} is not one of {', '.join(by_tag)}"
            yield Fault(place=_join(place, tag_field), what=what)
            return
        struct = by_tag[tag]
    faults = [*_field_faults(table, struct, tag_field, place)]
    yield from faults
    if not faults and (message := _convert_fault(table, struct)):
        yield Fault(place=place, what=message)  # what the type itself checks across its fields


def _field_faults(
    table: dict[str, object], struct: type[msgspec.Struct], tag_field: str | None, place: str
) -> Iterator[Fault]:
    hints = typing.get_type_hints(struct)
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for key, value in table.items():
        if key in fields:
            yield from find_faults(value, hints[fields[key].name], _join(place, key))
        elif key != tag_field:
            near = nearest(key, fields)
            hint = f"did you mean {near}?" if near else f"known: {', '.join(fields)}"
            yield Fault(place=_join(place, key), what=f"unknown key; {hint}")
    for key, field in fields.items():
        if field.required and key not in table:
            yield Fault(place=_join(place, key), what="missing")


def _convert_fault(value: object, hint: object) -> str:
    try:
        msgspec.convert(value, typing.cast(type[object], hint), dec_hook=path_hook)
    except msgspec.ValidationError as error:
        choices = _literal_choices(hint)
        if isinstance(value, str) and choices:
            near = nearest(value, choices)
            found = f"did you mean {near!r}?" if near else f"known: {', '.join(choices)}"
            return f"{value!r} is not known; {found}"
        return _plain(str(error))
    return ""


def _plain(message: str) -> str:
    """msgspec's message in the words of TOML, which has tables and text but no null."""
    text = re.sub(r"`([^`$]+)`", _type_words, message.split(" - at `$")[0])
    return text[:1].lower() + text[1:]


def _type_words(match: re.Match[str]) -> str:
    names = [name for name in match[1].split(" | ") if name != "null"]
    return " or ".join(_WORDS.get(name, name) for name in names)


def _finite(value: object) -> bool:
    if isinstance(value, list):
        return all(_finite(element) for element in value)
    return not isinstance(value, float) or math.isfinite(value)


def _members(hint: object) -> tuple[object, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _struct_choices(hint: object) -> tuple[type[msgspec.Struct], ...]:
    return tuple(
        member
        for member in _members(hint)
        if isinstance(member, type) and issubclass(member, msgspec.Struct)
    )


def _item_hint(hint: object) -> object | None:
    for member in _members(hint):
        if get_origin(member) is tuple and get_args(member)[-1] is Ellipsis:
            return typing.cast(object, get_args(member)[0])
    return None


def _literal_choices(hint: object) -> tuple[str, ...]:
    """The words a hint allows; Literal types may be nested in unions and aliases."""
    return tuple(
        str(choice)
        for member in _members(hint)
        if get_origin(member) is Literal
        for choice in get_args(member)
    )


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key
