"""Progress events: what long work tells the person (or the machine) that waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of a step. `done` of `total` items, where items are counted."""

    step: str
    state: Literal["started", "progress", "finished", "cached", "failed", "warning"]
    done: int = 0
    total: int = 0
    message: str = ""


Listener = Callable[[Event], None]
Progress = Callable[[int, int], None]
"""Called with (done, total) while a stage works; a stage knows nothing of steps."""


def silent(done: int, total: int) -> None:
    """A Progress that tells nobody."""


def silence(event: Event) -> None:
    """A Listener that hears nothing."""
