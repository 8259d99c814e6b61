"""``phoneproof build``: capture, convert, verify, package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from phoneproof.core.errors import VerificationFailed

if TYPE_CHECKING:
    from phoneproof.pipeline.build import BuildOutcome


@click.command("build")
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option(
    "--config",
    "named",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration, also taken as CONFIG; its folder holds the cache.  "
    "[default: phoneproof.toml]",
)
@click.option("--target", default="", help="Only these targets, e.g. android,server.")
@click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Time for each int8 artifact's repair ladder.  [default: 600]",
)
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the table.")
@click.option("--junit", type=click.Path(path_type=Path), help="Also write the checks as JUnit.")
@click.option("--summary", type=click.Path(path_type=Path), help="Also write a Markdown summary.")
def command(
    config: Path | None,
    named: Path | None,
    target: str,
    budget: float | None,
    as_json: bool,
    junit: Path | None,
    summary: Path | None,
) -> int:
    """Make every artifact, prove each is still the same model, and write the bundle.

    Exits with 7 when an artifact, or the capture itself, was measured and refused.
    """
    from phoneproof.cli.progress import show_progress
    from phoneproof.pipeline.build import build
    from phoneproof.pipeline.config import load_config, parse_targets

    if config is not None and named is not None:
        raise click.UsageError("CONFIG and --config are the same: give one of them")
    file = config or named or Path("phoneproof.toml")
    settings = load_config(file)
    with show_progress(quiet=as_json) as listener:
        outcome = build(
            settings,
            workspace=file.absolute().parent / ".phoneproof",
            targets=parse_targets(target),
            budget=budget,
            listener=listener,
        )
    _show(outcome, as_json)
    _write_extras(outcome, junit, summary)
    return 0 if outcome.report.accepted else VerificationFailed.exit_code


def _write_extras(outcome: BuildOutcome, junit: Path | None, summary: Path | None) -> None:
    from phoneproof.formats.model_file import write_bytes
    from phoneproof.package.junit import junit_xml
    from phoneproof.package.summary import summary_markdown

    if junit is not None:
        write_bytes(junit, junit_xml(outcome.report))
    if summary is not None:
        write_bytes(summary, summary_markdown(outcome.report).encode())


def _show(outcome: BuildOutcome, as_json: bool) -> None:
    from phoneproof.core.json_format import pretty_bytes

    if as_json:
        click.echo(pretty_bytes(outcome.report).decode(), nl=False)
        return
    from rich.console import Console
    from rich.markup import escape

    from phoneproof.cli.check_table import print_report
    from phoneproof.package.android_app import PROJECT
    from phoneproof.package.ios_app import APP

    console, folder = Console(), escape(str(outcome.folder))
    print_report(console, outcome.report)
    if outcome.report.accepted:
        console.print(f"[green]accepted[/green]  {folder}", soft_wrap=True)
    else:
        what = f"[red]refused[/red]  nothing was shipped; the report: {folder}"
        console.print(what, soft_wrap=True)
    page = escape(str(outcome.folder / "report.html"))
    console.print(f"report    {page}", soft_wrap=True)
    for path, program in ((PROJECT, "Android Studio"), (APP, "Xcode")):
        if (outcome.folder / path).is_dir():
            app = escape(str(outcome.folder / path))
            console.print(f"app       {app}  (open it in {program})", soft_wrap=True)
