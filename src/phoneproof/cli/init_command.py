"""``phoneproof init``: phoneproof.toml with everything inferred, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from phoneproof.core.contract import Task

if TYPE_CHECKING:
    from phoneproof.pipeline.start import Started


@click.command("init")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    required=True,
    help="Evaluation images: a folder, a folder per class, YOLO txt, COCO json or csv labels.",
)
@click.option("--labels", type=click.Path(path_type=Path), help="Labels that lie elsewhere.")
@click.option("--preset", help="How the images are fed, e.g. torchvision.imagenet.")
@click.option("--task", type=click.Choice(get_args(Task)), help="Where the file does not say.")
@click.option(
    "--factory",
    metavar="MODULE:FUNCTION",
    help="Your own code that builds the network, for bare weights; it is run.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("phoneproof.toml"),
    show_default=True,
    help="Where to write.",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.option("--no-search", is_flag=True, help="Do not measure what is assumed on the images.")
def command(
    model: Path,
    images: Path,
    labels: Path | None,
    preset: str | None,
    task: Task | None,
    factory: str | None,
    config: Path,
    force: bool,
    no_search: bool,
) -> None:
    """Look at MODEL and the images, and write a commented phoneproof.toml."""
    from phoneproof.cli.progress import show_progress
    from phoneproof.pipeline.start import start_project

    with show_progress(quiet=False) as listener:
        started = start_project(
            model,
            images,
            config=config,
            labels=labels,
            preset=preset,
            task=task,
            factory=factory,
            overwrite=force,
            search=not no_search,
            listener=listener,
        )
    _show(started)


def _show(started: Started) -> None:
    from rich.console import Console
    from rich.markup import escape

    from phoneproof.cli.inspect_command import show_hazards

    console = Console()
    contract = started.inference.contract
    height, width = contract.image.size
    console.print(
        f"{contract.task}, {len(contract.labels)} labels, {height}x{width}, "
        f"{started.data.images} images ({escape(started.data.layout)})",
        soft_wrap=True,
    )
    for finding in started.inference.findings:
        if finding.reason.startswith("assumed"):
            console.print(
                f"[yellow]{escape(finding.reason)}[/yellow]: "
                f"{escape(finding.key)} = {escape(finding.value)}",
                soft_wrap=True,
            )
    if started.search is not None:
        from phoneproof.cli.search_command import print_search

        print_search(console, started.search)
    show_hazards(console, (*started.inspection.hazards, *started.data.hazards))
    written = escape(str(started.config))
    console.print(f"written: {written}; read its comments, then: phoneproof build", soft_wrap=True)
