"""Progress of long work: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.table import Table

from phoneproof.core.events import Event, Listener, silence

_MARK = {
    "started": "…",
    "progress": "…",
    "finished": "[green]✓[/green]",
    "cached": "[dim]✓[/dim]",
    "failed": "[red]✗[/red]",
    "warning": "[yellow]![/yellow]",
}
_BAR_CELLS = 20


@dataclass(kw_only=True)
class _Row:
    event: Event
    started: float
    ended: float | None = None


class _StepTable:
    """The rows of the live table; events come from several threads."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        with self._lock:
            row = self._rows.setdefault(event.step, _Row(event=event, started=now))
            row.event = event
            if event.state in {"finished", "cached", "failed"}:
                row.ended = now

    def __rich__(self) -> Table:
        table = Table(box=None, show_header=False, padding=(0, 1))
        with self._lock:
            for step, row in self._rows.items():
                seconds = (row.ended or time.monotonic()) - row.started
                table.add_row(_MARK[row.event.state], step, f"{seconds:5.1f} s", _detail(row.event))
        return table


def _detail(event: Event) -> str:
    if event.state == "progress" and event.total:
        filled = _BAR_CELLS * event.done // event.total
        bar = "█" * filled + "░" * (_BAR_CELLS - filled)
        return f"{bar} {event.done}/{event.total}"
    if event.state == "cached":
        return "[dim]nothing changed[/dim]"
    return event.message if event.state in {"failed", "warning"} or "image" in event.message else ""


def _print_line(console: Console) -> Listener:
    def listener(event: Event) -> None:
        if event.state != "progress":
            text = f"{event.step}: {event.state}"
            console.print(f"{text} ({event.message})" if event.message else text, highlight=False)

    return listener


@contextmanager
def show_progress(*, quiet: bool) -> Iterator[Listener]:
    """A listener for a build: live on a terminal, lines in a log, nothing when quiet.

    Everything goes to standard error, so that standard output stays the command's result.
    """
    console = Console(stderr=True)
    if quiet:
        yield silence
    elif console.is_terminal:
        table = _StepTable()
        with Live(table, console=console, refresh_per_second=8):
            yield table
    else:
        yield _print_line(console)
