"""A strict reader of property lists in the style of OpenStep, as Xcode writes its projects.

Written from the grammar: strings, quoted where they hold anything but letters, digits and
``_ $ / : . -``; lists ``( a, b, )``; dictionaries ``{ a = b; }``; comments. A name that comes twice
in one dictionary is refused: Xcode would keep one of them without a word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPACE = re.compile(r"(?:\s|/\*.*?\*/|//[^\n]*(?:\n|$))*", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z0-9_$/:.]+")
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", '"': '"'}


class NotAPropertyList(ValueError):
    """With the line of the fault."""


@dataclass
class Reader:
    """The text and how far it was read."""

    text: str
    place: int = 0

    def fault(self, what: str) -> NotAPropertyList:
        return NotAPropertyList(f"line {self.text.count(chr(10), 0, self.place) + 1}: {what}")

    def skip(self) -> None:
        found = _SPACE.match(self.text, self.place)
        assert found is not None
        self.place = found.end()

    def next_is(self, mark: str) -> bool:
        self.skip()
        if self.text.startswith(mark, self.place):
            self.place += len(mark)
            return True
        return False

    def need(self, mark: str) -> None:
        if not self.next_is(mark):
            raise self.fault(f"{mark!r} is missing")

    def value(self) -> object:
        if self.next_is("{"):
            return self.dictionary()
        if self.next_is("("):
            return self.items()
        return self.string()

    def dictionary(self) -> dict[str, object]:
        fields: dict[str, object] = {}
        while not self.next_is("}"):
            name = self.string()
            if name in fields:
                raise self.fault(f"{name} comes twice")
            self.need("=")
            fields[name] = self.value()
            self.need(";")
        return fields

    def items(self) -> list[object]:
        items: list[object] = []
        while not self.next_is(")"):
            items.append(self.value())
            if not self.next_is(","):
                self.need(")")
                break
        return items

    def string(self) -> str:
        if self.next_is('"'):
            return self.quoted()
        found = _PLAIN.match(self.text, self.place)
        if found is None:
            raise self.fault("a string is missing")
        self.place = found.end()
        return found.group()

    def quoted(self) -> str:
        parts: list[str] = []
        while self.place < len(self.text):
            letter = self.text[self.place]
            self.place += 1
            if letter == '"':
                return "".join(parts)
            if letter == "\\":
                escaped = self.text[self.place : self.place + 1]
                if escaped not in _ESCAPES:
                    raise self.fault(f"an escape that Xcode does not write: {escaped!r}")
                letter = _ESCAPES[escaped]
                self.place += 1
            elif letter == "\n":
                raise self.fault("a string goes over its line")
            parts.append(letter)
        raise self.fault("a string has no end")


def read_property_list(text: str) -> dict[str, object]:
    """The document's dictionary.

    Raises:
        NotAPropertyList: anything that is not one, or something after its end.
    """
    reader = Reader(text)
    reader.need("{")
    document = reader.dictionary()
    reader.skip()
    if reader.place != len(text):
        raise reader.fault("something follows the end")
    return document
