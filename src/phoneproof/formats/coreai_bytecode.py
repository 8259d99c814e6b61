"""The string section of MLIR bytecode, which names the weights of a Core AI program.

Core AI gives each weight and each inner function a random name, so that equal programs differ
from run to run. Names are only looked up by their place in the section: another name in that
place changes nothing else in the file.

Layout: https://mlir.llvm.org/docs/BytecodeFormat/ (magic, version, producer, sections; a section
is an id, a length and, where bit 7 of the id is set, an alignment; numbers are prefix varints).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from phoneproof.core.errors import InvalidInput

_MAGIC: Final = b"ML\xefR"
_STRINGS: Final = 0
_ALIGNED: Final = 0x80
_PADDING: Final = b"\xcb"
_RESOURCE: Final = re.compile(rb"resource_\d+")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Section:
    """body: [first, end) in the file. alignment: of the body's first byte; 1 for none."""

    id: int
    alignment: int
    first: int
    end: int


def with_fixed_names(data: bytes, functions: Iterable[str] = ()) -> bytes:
    """The same program with numbered names in place of random ones.

    Args:
        functions: names of inner functions, which end in random letters.

    Raises:
        InvalidInput: not MLIR bytecode, or truncated.
    """
    inner = {name.encode() for name in functions}
    names = _Names(inner)
    start, sections = _sections(data)
    pieces = [data[:start]]
    size = start
    for section in sections:
        body = data[section.first : section.end]
        if section.id == _STRINGS:
            body = _renamed(body, names)
        head = _header(section, len(body), size)
        pieces += [head, body]
        size += len(head) + len(body)
    return b"".join(pieces)


def require_bytecode(data: bytes) -> None:
    """Refuse what Core AI's parser would end the process over: it aborts on damaged files.

    Raises:
        InvalidInput: not MLIR bytecode, or truncated.
    """
    _, sections = _sections(data)
    for section in sections:
        if section.id == _STRINGS:
            _strings(data[section.first : section.end])


class _Names:
    """The n-th random name of a file becomes the n-th fixed one, of one length."""

    def __init__(self, functions: set[bytes]) -> None:
        self._functions = functions
        self._resources = 0
        self._inner = 0

    def fixed(self, name: bytes) -> bytes:
        """The name to write in place of `name`."""
        if _RESOURCE.fullmatch(name):
            self._resources += 1
            return b"resource_%d" % self._resources
        if name in self._functions:
            self._inner += 1
            return b"%s_%d" % (name.rpartition(b"_")[0], self._inner)
        return name


def _sections(data: bytes) -> tuple[int, list[_Section]]:
    """(where the first section begins, all sections)."""
    if not data.startswith(_MAGIC):
        raise _damaged("it does not begin as MLIR bytecode does")
    try:
        _, place = _varint(data, len(_MAGIC))
        start = place = data.index(b"\0", place) + 1
        found = []
        while place < len(data):
            section = _section(data, place)
            if section.end > len(data):
                raise _damaged(f"section {section.id} ends {section.end - len(data)} bytes later")
            found.append(section)
            place = section.end
    except (IndexError, ValueError) as error:
        raise _damaged("it ends within a section's head") from error
    return start, found


def _section(data: bytes, place: int) -> _Section:
    kind = data[place]
    length, place = _varint(data, place + 1)
    alignment = 1
    if kind & _ALIGNED:
        alignment, place = _varint(data, place)
        if not alignment:
            raise _damaged("a section without an alignment")
        place += -place % alignment
    return _Section(id=kind & ~_ALIGNED, alignment=alignment, first=place, end=place + length)


def _header(section: _Section, length: int, place: int) -> bytes:
    """What stands before a section's body when the head begins at `place`."""
    if section.alignment == 1:
        return bytes([section.id]) + _packed(length)
    head = bytes([section.id | _ALIGNED]) + _packed(length) + _packed(section.alignment)
    return head + _PADDING * (-(place + len(head)) % section.alignment)


def _strings(body: bytes) -> list[bytes]:
    """The names, without their closing zeros; lengths are stored last first."""
    try:
        count, place = _varint(body, 0)
        lengths = []
        for _ in range(count):
            length, place = _varint(body, place)
            lengths.append(length)
    except IndexError as error:
        raise _damaged("its names are cut off") from error
    names = []
    for length in reversed(lengths):
        names.append(body[place : place + length - 1])
        place += length
    if place != len(body):
        raise _damaged("its names do not fill their section")
    return names


def _renamed(body: bytes, names: _Names) -> bytes:
    renamed: Callable[[bytes], bytes] = names.fixed
    fixed = [renamed(name) for name in _strings(body)]
    lengths = b"".join(_packed(len(name) + 1) for name in reversed(fixed))
    return _packed(len(fixed)) + lengths + b"".join(name + b"\0" for name in fixed)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """(number, next place): the zeros that end the first byte count the bytes that follow."""
    first = data[place]
    if not first:
        return int.from_bytes(data[place + 1 : place + 9], "little"), place + 9
    size = (first & -first).bit_length()
    if place + size > len(data):
        raise IndexError
    return int.from_bytes(data[place : place + size], "little") >> size, place + size


def _packed(number: int) -> bytes:
    size = max(1, -(-number.bit_length() // 7))
    if size > 8:
        return b"\0" + number.to_bytes(8, "little")
    return ((number << size) | 1 << (size - 1)).to_bytes(size, "little")


def _damaged(found: str) -> InvalidInput:
    return InvalidInput(
        "the program of a Core AI model is damaged",
        found=found,
        next_step="copy the folder again, or convert the model again",
    )
