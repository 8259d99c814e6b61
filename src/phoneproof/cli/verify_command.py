"""``phoneproof verify``: is this bundle still what was built, and does it still measure so?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from phoneproof.core.errors import VerificationFailed

if TYPE_CHECKING:
    from rich.console import Console

    from phoneproof.core.device_results import DeviceReport
    from phoneproof.pipeline.verify_bundle import Verification


@click.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="The evaluation images: re-measure against the stored baseline.",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    multiple=True,
    help="device-results.json of a phone: judged and added to the bundle. Repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(bundle: Path, images: Path | None, results: tuple[Path, ...], as_json: bool) -> int:
    """Check every hash of BUNDLE and run its golden vectors again.

    Needs neither the source nor torch. Exits with 7 when something was altered or differs.
    """
    from phoneproof.cli.progress import show_progress
    from phoneproof.pipeline.verify_bundle import verify_bundle

    with show_progress(quiet=as_json) as listener:
        verification = verify_bundle(bundle, images=images, results=results, listener=listener)
    _show(verification, as_json)
    return 0 if verification.accepted else VerificationFailed.exit_code


def _show(verification: Verification, as_json: bool) -> None:
    from phoneproof.core.json_format import pretty_bytes

    if as_json:
        click.echo(pretty_bytes(verification).decode(), nl=False)
        return
    from rich.console import Console
    from rich.markup import escape

    from phoneproof.cli.check_table import print_checks

    console = Console()
    for artifact in verification.artifacts:
        print_checks(console, artifact.id, artifact.checks)
        if artifact.not_run:
            what = f"[yellow]{escape(artifact.id)}[/yellow]: {escape(artifact.not_run)}"
            console.print(what, soft_wrap=True)
    for device in verification.devices:
        _show_device(console, device)
    if verification.unmatched:
        console.print(
            f"[yellow]{verification.unmatched} image(s) are not in the stored baseline "
            "and were left out[/yellow]"
        )
    word = "[green]verified[/green]" if verification.accepted else "[red]refused[/red]"
    bundle = escape(f"{verification.bundle} {verification.version}")
    unrun = sum(bool(one.not_run) for one in verification.artifacts)
    but = f", but {unrun} of {len(verification.artifacts)} artifacts were not run" if unrun else ""
    console.print(f"{word}  {bundle}{but}", soft_wrap=True)


def _show_device(console: Console, device: DeviceReport) -> None:
    """A line an accelerator; the checks of those that did not pass."""
    from rich.markup import escape

    from phoneproof.cli.check_table import print_checks
    from phoneproof.cli.verdict_style import STYLE
    from phoneproof.package.device_words import device_sentences, latency_words

    sentences = device_sentences(device)
    for one, sentence in zip(device.accelerators, sentences, strict=True):
        if one.verdict is not None and one.verdict != "pass" and one.checks:
            print_checks(console, f"{device.artifact} on {one.title}", one.checks)
        style = STYLE[one.verdict] if one.verdict is not None else "dim"
        more = one.reason or latency_words(one)
        text = f"[{style}]{escape(sentence)}[/{style}]" + (f"  {escape(more)}" if more else "")
        console.print(text, soft_wrap=True, highlight=False)
