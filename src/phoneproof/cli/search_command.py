"""``phoneproof search``: which contract explains the labels, measured on the source itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from phoneproof.core.errors import VerificationFailed

if TYPE_CHECKING:
    from rich.console import Console

    from phoneproof.core.search import ContractSearch, Tried
    from phoneproof.pipeline.search.from_config import Searched

SHOWN_ROWS = 24


@click.command("search")
@click.argument(
    "config", type=click.Path(path_type=Path, dir_okay=False), default=Path("phoneproof.toml")
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(config: Path, as_json: bool) -> int:
    """Try other channel orders, values, geometries, filters and label offsets on labelled images.

    Exits with 7 when another contract is significantly better than the one in CONFIG.
    """
    from phoneproof.cli.progress import show_progress
    from phoneproof.pipeline.config import load_config
    from phoneproof.pipeline.search.from_config import search_config

    settings = load_config(config)
    with show_progress(quiet=as_json) as listener:
        searched = search_config(
            settings, workspace=config.absolute().parent / ".phoneproof", listener=listener
        )
    if as_json:
        from phoneproof.core.json_format import pretty_bytes

        click.echo(pretty_bytes(searched.found).decode(), nl=False)
    else:
        _show(searched)
    better = searched.found.verdict == "better_found"
    return VerificationFailed.exit_code if better else 0


def _show(searched: Searched) -> None:
    from rich.console import Console

    from phoneproof.pipeline.search.proposal_lines import proposal_lines

    console, found = Console(), searched.found
    print_tried(console, found)
    print_search(console, found)
    lines = proposal_lines(searched.given, found)
    if lines:
        console.print("write this into phoneproof.toml:", soft_wrap=True)
        for line in lines:
            console.print(f"  {line}", soft_wrap=True, markup=False, highlight=False)


def print_tried(console: Console, found: ContractSearch) -> None:
    """What was tried, furthest and best first."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("what differs")
    for heading in ("images", "top-1" if found.metric == "top1" else "mAP50", "log-likelihood"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("gain, 95 % bounds", no_wrap=True)
    rows = sorted(found.tried, key=lambda row: (-row.n, -row.likelihood))
    for row in rows[:SHOWN_ROWS]:
        what = ", ".join(row.differs) or "this contract"
        table.add_row(
            escape(what), str(row.n), f"{row.score:.3f}", f"{row.likelihood:.3f}", _gain(row)
        )
    console.print(table)
    if len(rows) > SHOWN_ROWS:
        console.print(f"and {len(rows) - SHOWN_ROWS} more, left behind earlier", soft_wrap=True)


def _gain(row: Tried) -> str:
    if not row.differs:
        return ""
    return f"{row.gain.value:+.3f} ({row.gain.lower:+.3f} … {row.gain.upper:+.3f})"


def print_search(console: Console, found: ContractSearch) -> None:
    """The verdict, what is as good, and what could not be decided."""
    from rich.markup import escape

    style = {"confirmed": "green", "better_found": "red", "inconclusive": "yellow"}[found.verdict]
    verdict = found.verdict.replace("_", " ")
    console.print(f"[{style}]{verdict}[/{style}]  {escape(found.reason)}", soft_wrap=True)
    if found.proposed is not None:
        console.print(f"proposed: {escape(found.proposed.what)}", soft_wrap=True)
    for one in found.equal:
        console.print(f"as good: {escape(one.what)} ({one.score.value:.3f})", soft_wrap=True)
    for one in found.behind:
        console.print(f"worse: {escape(one.what)} ({one.score.value:.3f})", soft_wrap=True)
    for name, value in found.recorded:
        fits = "; ".join(found.fits) or "none of these"
        console.print(
            f"recorded in the model file: {escape(name)} {value:.3f}; within the bounds of: "
            f"{escape(fits)}",
            soft_wrap=True,
        )
    for note in found.notes:
        console.print(escape(note), soft_wrap=True)
