"""``phoneproof demo``: everything, on a small model trained on the spot."""

from __future__ import annotations

from pathlib import Path

import click

from phoneproof.core.errors import VerificationFailed


@click.command("demo")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("phoneproof-demo"),
    show_default=True,
    help="Where the pictures, the model and the bundle go.",
)
def command(directory: Path) -> int:
    """Draw pictures of shapes, train a classifier on them, and make it phone-proof. Offline."""
    from rich.console import Console
    from rich.markup import escape

    from phoneproof.cli.check_table import print_report
    from phoneproof.cli.progress import show_progress
    from phoneproof.demo.run import CONFIG_NAME, PRESET, make_model, typed_lines
    from phoneproof.pipeline.build import build
    from phoneproof.pipeline.config import load_config
    from phoneproof.pipeline.start import start_project

    console = Console()
    config = directory / CONFIG_NAME
    with show_progress(quiet=False) as listener:
        made = make_model(directory, listener)
        start_project(
            made.model,
            made.evaluation,
            config=config,
            labels=None,
            preset=PRESET,
            task=None,
            overwrite=True,
            listener=listener,
        )
        outcome = build(
            load_config(config), workspace=directory.absolute() / ".phoneproof", listener=listener
        )
    print_report(console, outcome.report)
    console.print("what you would have typed:")
    for line in typed_lines(made, config):
        console.print(f"  {escape(line)}", soft_wrap=True)
    page = escape(str(outcome.folder / "report.html"))
    console.print(f"report    {page}", soft_wrap=True)
    return 0 if outcome.report.accepted else VerificationFailed.exit_code
