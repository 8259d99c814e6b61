"""``phoneproof preflight``: the captured model on production images, before any conversion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from phoneproof.pipeline.preflight import PreflightOutcome

_SHOWN_PICTURES = 12


@click.command("preflight")
@click.argument(
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("phoneproof.toml"),
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("preflight.html"),
    show_default=True,
    help="Where the page goes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings instead of a summary.")
def command(config: Path, output: Path, as_json: bool) -> None:
    """Capture the model of CONFIG, and show what it says of [data] production.

    CONFIG is phoneproof.toml by default. Nothing is converted. The pictures need no labels.
    """
    from phoneproof.cli.progress import show_progress
    from phoneproof.pipeline.config import load_config
    from phoneproof.pipeline.preflight import run_preflight

    settings = load_config(config)
    with show_progress(quiet=as_json) as listener:
        outcome = run_preflight(
            settings,
            workspace=config.absolute().parent / ".phoneproof",
            page=output.absolute(),
            listener=listener,
        )
    if as_json:
        from phoneproof.core.json_format import pretty_bytes

        click.echo(pretty_bytes(outcome.report).decode(), nl=False)
        return
    _show(outcome)


def _show(outcome: PreflightOutcome) -> None:
    from rich.console import Console
    from rich.markup import escape

    from phoneproof.cli.inspect_command import show_hazards
    from phoneproof.package.preflight_words import set_words, surprise_text

    console, report = Console(), outcome.report
    console.print(f"[bold]production[/bold]  {escape(outcome.summary)}", highlight=False)
    console.print(f"            {set_words(report.production)}", highlight=False)
    for picture in report.production.pictures[:_SHOWN_PICTURES]:
        why = "; ".join(surprise_text(surprise) for surprise in picture.surprises)
        console.print(f"  {escape(picture.image)}  {escape(why)}", highlight=False)
    more = report.production.surprising - _SHOWN_PICTURES
    if more > 0:
        console.print(f"  ... and {more} more")
    for metric in report.recorded:
        console.print(f"recorded  {escape(metric.sentence)}", highlight=False)
    show_hazards(console, report.hazards)
    console.print(f"page      {escape(str(outcome.page))}", soft_wrap=True)
