"""What was tried to make a file smaller, and what to ship, as a person reads it in a terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from phoneproof.cli.verdict_style import STYLE
from phoneproof.core.report import ArtifactReport, Attempt, Report
from phoneproof.package.optimization_words import (
    advice_lines,
    attempt_row,
    closest_words,
    found_words,
    losses_of,
)


def print_attempts(console: Console, artifact: ArtifactReport, report: Report) -> None:
    """The tries of one artifact; where none was accepted, how close the best one came."""
    if not artifact.attempts:
        return
    console.print(
        f"[bold]{escape(artifact.id)}, what was tried[/bold]", soft_wrap=True, highlight=False
    )
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("try")
    table.add_column("outcome")
    for heading in ("size", "wider MACs"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("losses, against limits")
    table.add_column("time", justify="right", no_wrap=True)
    for attempt in artifact.attempts:
        table.add_row(*_cells(attempt))
    console.print(table)
    console.print(escape(found_words(artifact)), soft_wrap=True, highlight=False)
    if not artifact.accepted and (closest := closest_words(artifact, report)):
        console.print(escape(closest), soft_wrap=True, highlight=False)


def _cells(attempt: Attempt) -> tuple[str, ...]:
    what, outcome, size, wide, _, seconds = attempt_row(attempt)
    style = "green" if attempt.accepted else ("dim" if attempt.broke else "red")
    losses = [f"[{STYLE[loss.verdict]}]{escape(loss.short)}[/]" for loss in losses_of(attempt)]
    outcome = f"[{style}]{escape(outcome)}[/{style}]"
    return escape(what), outcome, size, wide, "\n".join(losses), seconds


def print_advice(console: Console, report: Report) -> None:
    """What to ship where."""
    for line in advice_lines(report):
        console.print(escape(line), soft_wrap=True, highlight=False)
