"""``phoneproof compare``: one model file measured against another."""

from __future__ import annotations

from pathlib import Path

import click

from phoneproof.core.errors import VerificationFailed


@click.command("compare")
@click.argument("baseline", type=click.Path(path_type=Path))
@click.argument("candidate", type=click.Path(path_type=Path))
@click.option(
    "--contract",
    type=click.Path(path_type=Path, dir_okay=False),
    help="contract.json; default: the one inside a file.",
)
@click.option(
    "--images", type=click.Path(path_type=Path), required=True, help="Images to compare on."
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    baseline: Path, candidate: Path, contract: Path | None, images: Path, as_json: bool
) -> int:
    """Measure CANDIDATE against BASELINE on the same images, under one contract.

    Either may be a third-party Core ML network (.mlmodel), which carries no contract.

    Exits with 7 when the candidate is measured and refused.
    """
    from phoneproof.cli.progress import show_progress
    from phoneproof.core.contract import Contract
    from phoneproof.core.json_format import parse, pretty_bytes
    from phoneproof.pipeline.compare import compare
    from phoneproof.pipeline.foreign import ForeignArtifact, load_both
    from phoneproof.pipeline.loaded import read_file
    from phoneproof.verify.verdicts import accepted

    given = parse(read_file(contract), Contract, what=contract.name) if contract else None
    first, second = load_both(baseline, candidate, given)
    shared = given or first.contract
    for loaded in (first, second):
        if isinstance(loaded, ForeignArtifact) and loaded.note:
            click.echo(f"{loaded.path.name}: {loaded.note}", err=True)
    with show_progress(quiet=as_json) as listener:
        compared = compare(first, second, contract=shared, images=images, listener=listener)
    if as_json:
        click.echo(pretty_bytes(compared.checks).decode(), nl=False)
    else:
        from rich.console import Console

        from phoneproof.cli.check_table import print_checks

        print_checks(Console(), f"{candidate.name} against {baseline.name}", compared.checks)
    return 0 if accepted(compared.checks, compared.limits) else VerificationFailed.exit_code
