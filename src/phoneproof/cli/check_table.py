"""The table of checks and the verdict, as a person reads them in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from phoneproof.core.check import Check
from phoneproof.core.report import Report

_STYLE = {"pass": "green", "undecided": "yellow", "fail": "red"}


def number(value: float | None) -> str:
    """A measured number with four significant digits; "-" for none."""
    return "-" if value is None else f"{value:.4g}"


def add_checks(table: Table, artifact: str, checks: tuple[Check, ...]) -> None:
    """One row a check; what does not gate is dimmed."""
    for check in checks:
        style = _STYLE[check.verdict] if check.gating else "dim"
        sign = "≤" if check.direction == "max" else "≥"
        limit = f"{sign} {number(check.limit)}" if check.limit is not None else ""
        bounds = f"{number(check.bounds[0])} … {number(check.bounds[1])}" if check.bounds else ""
        name = f"{check.name} ({check.slice})" if check.slice else check.name
        verdict = check.verdict if check.gating else "shown"
        table.add_row(
            artifact,
            name,
            f"{number(check.value)} {check.unit}".strip(),
            limit,
            bounds,
            str(check.n),
            f"[{style}]{verdict}[/{style}]",
        )


def check_table() -> Table:
    """An empty table of checks."""
    return Table("artifact", "check", "value", "limit", "95 % bounds", "n", "verdict")


def print_report(console: Console, report: Report) -> None:
    """The capture gate, every artifact's checks, hints, and the verdict."""
    table = check_table()
    add_checks(table, "hub", report.gate)
    for artifact in report.artifacts:
        table.add_section()
        add_checks(table, artifact.id, artifact.checks)
    console.print(table)
    for artifact in report.artifacts:
        if artifact.divergence is not None:
            console.print(
                f"[red]{artifact.id}[/red] diverges first at "
                f"[bold]{escape(artifact.divergence.layer)}[/bold]: "
                f"{escape(artifact.divergence.explanation)}"
            )
        for check in artifact.checks:
            if check.gating and check.verdict == "fail" and check.hint:
                console.print(f"[red]{artifact.id} {check.name}[/red]: {escape(check.hint)}")
    for hazard in report.hazards:
        if hazard.severity != "note":
            name = hazard.name.replace("_", " ")
            console.print(f"[yellow]{name}[/yellow]: {escape(hazard.found)}")
