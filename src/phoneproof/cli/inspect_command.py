"""``phoneproof inspect``: what a model file says, and what is hazardous about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from phoneproof.core.capture import Hazard, Inspection

_SHOWN_TRAINING = 12
_SHOWN_LABELS = 8


@click.command("inspect")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--images", type=click.Path(path_type=Path), help="Also look at these images.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(model: Path, images: Path | None, as_json: bool) -> None:
    """Read MODEL without running it or any code in it, and show what was found."""
    import msgspec

    from phoneproof.cli.progress import show_progress
    from phoneproof.pipeline.start import inspect_model, picture_hazards

    with show_progress(quiet=True) as listener:
        inspection = inspect_model(model, listener)
        pictures = picture_hazards(images, listener) if images is not None else ()
    inspection = msgspec.structs.replace(inspection, hazards=(*inspection.hazards, *pictures))
    if as_json:
        from phoneproof.core.json_format import pretty_bytes

        click.echo(pretty_bytes(inspection).decode(), nl=False)
        return
    from rich.console import Console

    _show(Console(), model.name, inspection)


def _show(console: Console, name: str, inspection: Inspection) -> None:
    from rich.markup import escape

    evidence = inspection.evidence
    family = f", {evidence.family}" if evidence.family else ""
    console.print(f"[bold]{escape(name)}[/bold]  {evidence.framework}{family}")
    for tensor in inspection.inputs:
        console.print(f"  input    {escape(tensor.name)} {tensor.shape} {tensor.dtype}")
    for tensor in inspection.outputs:
        console.print(f"  output   {escape(tensor.name)} {tensor.shape} {tensor.dtype}")
    console.print(f"  layout   {inspection.layout}")
    console.print(f"  task     {inspection.task or 'not said'}")
    if inspection.preset:
        console.print(f"  preset   {inspection.preset}")
    if inspection.labels:
        shown = ", ".join(str(label) for label in inspection.labels[:_SHOWN_LABELS])
        more = " ..." if len(inspection.labels) > _SHOWN_LABELS else ""
        console.print(f"  labels   {len(inspection.labels)}: {escape(shown)}{more}")
    if evidence.license:
        console.print(f"  licence  {escape(evidence.license)}")
    for key, value in evidence.metrics:
        console.print(f"  recorded {escape(key)} = {value:g}")
    for key, text in evidence.training[:_SHOWN_TRAINING]:
        console.print(f"  training {escape(key)} = {escape(text)}")
    if len(evidence.training) > _SHOWN_TRAINING:
        more_settings = len(evidence.training) - _SHOWN_TRAINING
        console.print(f"  training ... {more_settings} more settings: --json")
    for finding in inspection.findings:
        console.print(
            f"  found    {escape(finding.key)} = {escape(finding.value)} "
            f"[dim]({escape(finding.reason)})[/dim]"
        )
    show_hazards(console, inspection.hazards)


def show_hazards(console: Console, hazards: tuple[Hazard, ...]) -> None:
    """One paragraph a hazard: what was found, and what to do."""
    from rich.markup import escape

    style = {"note": "cyan", "warning": "yellow", "refusal": "red"}
    for hazard in hazards:
        name = hazard.name.replace("_", " ")
        console.print(
            f"[{style[hazard.severity]}]{hazard.severity}[/] {name}: {escape(hazard.found)}"
        )
        if hazard.next_step:
            console.print(f"        {escape(hazard.next_step)}")
