"""Registries: name -> where the class lives. Listing imports nothing; `load` imports one."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from phoneproof.core.errors import MissingExtra, Unsupported, nearest

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One backend: ``package.module:Class``, a line for listings, the extra that brings it."""

    target: str
    summary: str
    extra: str


class Registry(Generic[T]):
    """A table of backends that satisfy one Protocol.

    Args:
        kind: what the table holds, for messages ("runtime", "source").
        entries: name -> Entry, in order of preference.
    """

    def __init__(self, kind: str, entries: Mapping[str, Entry]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def entry(self, name: str) -> Entry:
        """The entry of `name`; Unsupported lists the known names."""
        if name not in self._entries:
            near = nearest(name, self._entries)
            raise Unsupported(
                f"unknown {self.kind} {name!r}",
                found=f"known: {', '.join(self._entries)}",
                next_step=f"did you mean {near!r}?" if near else "",
            )
        return self._entries[name]

    def load(self, name: str) -> T:
        """Import one backend's module and make its instance.

        Raises:
            MissingExtra: a library the backend stands on is not installed.
        """
        entry = self.entry(name)
        module_name, _, attribute = entry.target.partition(":")
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("phoneproof"):
                raise
            raise MissingExtra.of(error.name, entry.extra) from error
        return cast(T, getattr(module, attribute)())
