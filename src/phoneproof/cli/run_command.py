"""``phoneproof run``: predictions of a model file on pictures, drawn and listed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from phoneproof.pipeline.run_pictures import PictureResult


@click.command("run")
@click.argument("artifact", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("predictions"),
    show_default=True,
    help="Folder for the drawn pictures.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results; draws nothing.")
def command(artifact: Path, images: tuple[Path, ...], output: Path, as_json: bool) -> None:
    """Run ARTIFACT on IMAGES (files or folders).

    ARTIFACT: a .tflite, .onnx, .mlpackage or .aimodel that a build made.
    """
    from phoneproof.pipeline.loaded import load_artifact
    from phoneproof.pipeline.run_pictures import run_pictures

    loaded = load_artifact(artifact)
    results = run_pictures(loaded, images, draw_into=None if as_json else output)
    if as_json:
        from phoneproof.core.json_format import pretty_bytes

        click.echo(pretty_bytes(list(results)).decode(), nl=False)
        return
    for result in results:
        _show(result)


def _show(result: PictureResult) -> None:
    from phoneproof.decode.records import ClassificationRecord, DetectionsRecord

    click.echo(f"{result.image}  ->  {result.drawn}")
    record = result.result
    if isinstance(record, ClassificationRecord):
        for ranked in record.top:
            click.echo(f"  {ranked.probability:.3f}  {ranked.label}")
    elif isinstance(record, DetectionsRecord):
        for found in record.detections:
            box = " ".join(f"{value:.1f}" for value in found.box)
            click.echo(f"  {found.score:.3f}  {found.label}  [{box}]")
        if not record.detections:
            click.echo("  nothing above the threshold")
