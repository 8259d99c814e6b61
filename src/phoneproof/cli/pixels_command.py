"""``phoneproof pixels``: the first input values, or what a phone's own tensor got wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from phoneproof.core.errors import VerificationFailed

if TYPE_CHECKING:
    from phoneproof.pipeline.first_pixels import DumpReport, FirstPixels, RowValues


@click.command("pixels")
@click.argument("image", type=click.Path(path_type=Path))
@click.option(
    "--artifact",
    type=click.Path(path_type=Path),
    help="A .tflite, .onnx, .mlpackage or .aimodel that a build made: the contract and the tensor "
    "inside it.",
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="A bundle; IMAGE may also be a golden case of it.  [default: IMAGE's own, or the "
    "newest in ./dist]",
)
@click.option("--contract", type=click.Path(path_type=Path), help="A contract.json.")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="The tensor an app fed its model, as raw bytes: name what is wrong with it.",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    image: Path,
    artifact: Path | None,
    bundle: Path | None,
    contract: Path | None,
    against: Path | None,
    as_json: bool,
) -> int:
    """Show what IMAGE becomes before the model sees it, or check what a phone made of it.

    With --against: exits with 0 where the tensor is the contract's (but for another JPEG
    decoder), with 7 where mistakes were named or nothing explains it.
    """
    from phoneproof.core.json_format import pretty_bytes
    from phoneproof.pipeline.first_pixels import diagnose_dump, first_pixels
    from phoneproof.pipeline.pixel_source import find_pixel_source

    source = find_pixel_source(image, artifact=artifact, bundle=bundle, contract=contract)
    if against is None:
        view = first_pixels(source)
        if as_json:
            click.echo(pretty_bytes(view).decode(), nl=False)
        else:
            _show_pixels(view)
        return 0
    report = diagnose_dump(source, against)
    if as_json:
        click.echo(pretty_bytes(report).decode(), nl=False)
    else:
        _show_report(report)
    return 0 if report.accepted else VerificationFailed.exit_code


def _show_pixels(view: FirstPixels) -> None:
    click.echo(f"{view.image}  ({view.origin})")
    click.echo(f"  picture   {view.width}x{view.height}, oriented (width x height)")
    for words in view.geometry:
        click.echo(f"  geometry  {words}")
    quantized = f", scale {view.quant.scale:g} zero {view.quant.zero_point}" if view.quant else ""
    click.echo(
        f"  tensor    {view.tensor} {list(view.shape)} {view.layout} {view.dtype}{quantized}"
    )
    if view.assumed:
        click.echo(f"  note      {view.assumed}")
    for row in view.rows:
        _show_row(row)


def _show_row(row: RowValues) -> None:
    click.echo(f"row {row.row}, from column {row.column}")
    for channel in row.channels:
        click.echo(f"  {channel.channel:6}pixels  {_numbers(channel.pixels)}")
        click.echo(f"  {'':6}tensor  {_numbers(channel.tensor)}")


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:>9.6g}" for value in values)


def _show_report(report: DumpReport) -> None:
    click.echo(f"{report.image}  ({report.origin})")
    if report.assumed:
        click.echo(f"  note      {report.assumed}")
    if report.verdict == "mistakes":
        for mistake in report.mistakes:
            click.echo(f"  mistake   {mistake}")
        click.echo(
            f"  leaves    a mean difference of {report.remaining_mean:.2f} of 255, "
            f"where the dump as it is has {report.mean_difference:.2f}"
        )
    else:
        click.echo(f"  verdict   {report.summary}")
    if report.verdict == "same pixels, another JPEG decoder":
        click.echo(
            f"  differs   {report.mean_difference:.2f} of 255 on average, "
            f"at most {report.max_difference:.0f}"
        )
