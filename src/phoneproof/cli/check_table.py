"""The table of checks and the verdict, as a person reads them in a terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from phoneproof.cli.attempt_table import print_advice, print_attempts
from phoneproof.cli.verdict_style import STYLE
from phoneproof.core.check import Check
from phoneproof.core.report import Report


def number(value: float | None) -> str:
    """A measured number with four significant digits; "-" for none."""
    return "-" if value is None else f"{value:.4g}"


def print_checks(console: Console, title: str, checks: tuple[Check, ...]) -> None:
    """One table of checks; what does not gate is dimmed. Names are never cut."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("check", no_wrap=True)
    for heading in ("value", "limit", "95 % bounds"):
        table.add_column(heading)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for check in checks:
        table.add_row(*_cells(check))
    # Not the table's own title, which would be broken at the table's width.
    console.print(f"[bold]{escape(title)}[/bold]", soft_wrap=True, highlight=False)
    console.print(table)


def _cells(check: Check) -> tuple[str, ...]:
    style = STYLE[check.verdict] if check.gating else "dim"
    sign = "≤" if check.direction == "max" else "≥"
    return (
        escape(f"{check.name} {check.slice}".strip()),
        escape(f"{number(check.value)} {check.unit}".strip()),
        f"{sign} {number(check.limit)}" if check.limit is not None else "",
        f"{number(check.bounds[0])} … {number(check.bounds[1])}" if check.bounds else "",
        str(check.n),
        f"[{style}]{check.verdict if check.gating else 'shown'}[/{style}]",
    )


def print_report(console: Console, report: Report) -> None:
    """The capture gate, every artifact's checks, hints, and the verdict."""
    print_checks(console, "hub program, against the source", report.gate)
    for artifact in report.artifacts:
        print_checks(console, f"{artifact.id}, {artifact.bytes / 1e6:.2f} MB", artifact.checks)
    _print_hints(console, "hub", report.gate, report)
    for artifact in report.artifacts:
        print_attempts(console, artifact, report)
        if artifact.divergence is not None:
            console.print(
                f"[red]{escape(artifact.id)}[/red] diverges first at "
                f"[bold]{escape(artifact.divergence.layer)}[/bold]: "
                f"{escape(artifact.divergence.explanation)}",
                soft_wrap=True,
            )
        _print_hints(console, artifact.id, artifact.checks, report)
    print_advice(console, report)
    for hazard in report.hazards:
        if hazard.severity != "note":
            name = hazard.name.replace("_", " ")
            console.print(
                f"[yellow]{escape(name)}[/yellow]: {escape(hazard.found)}", soft_wrap=True
            )


def _print_hints(console: Console, name: str, checks: tuple[Check, ...], report: Report) -> None:
    """What to do about failed checks; where the build is refused, about undecided ones too."""
    for check in checks:
        refuses = check.verdict == "fail" or (check.verdict == "undecided" and not report.accepted)
        if check.gating and refuses and check.hint:
            what = f"[red]{escape(f'{name} {check.name}')}[/red]: {escape(check.hint)}"
            console.print(what, soft_wrap=True)
