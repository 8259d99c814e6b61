"""Every model of the assets as Core ML and Core AI files: verified, or what stops them.

    python -m benchmarks.apple WORK [WORD…]     WORK: where the builds lie, 200 MB a model

A model that was measured at this commit is not built again unless it is named, and what an
interrupted build had done is found again.

One build a model: ``formats = ["coreml", "coreai"]``, ``precisions = ["float32", "float16"]``, on
a few of its images, defaults otherwise. Where a format stops the build, each is built alone.
Writes ``benchmarks/results/apple.json`` and the tables in ``docs/reference/apple-models.md``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.acceptance import commit_shown
from benchmarks.apple_cases import (
    FORMATS,
    PRECISIONS,
    AppleCase,
    build_config,
    prepare,
    smallest_first,
)
from benchmarks.apple_figures import Figures, failures, figures
from benchmarks.apple_hub import differences
from benchmarks.apple_table import Row, keep, measured_at
from phoneproof.core.errors import PhoneproofError
from phoneproof.pipeline.build import build
from phoneproof.pipeline.config import load_config


def main() -> int:
    """Build what was named, print each row, keep the results."""
    parser = argparse.ArgumentParser(prog="benchmarks.apple")
    parser.add_argument("work", type=Path)
    parser.add_argument("words", nargs="*")
    asked = parser.parse_args()
    commit = commit_shown()
    for case in smallest_first():
        if asked.words and not any(word in case.name for word in asked.words):
            continue
        if not asked.words and measured_at(case.name) == commit:
            continue
        print(f"{case.name} ...", file=sys.stderr, flush=True)
        row = run(case, asked.work.absolute(), commit)
        print(row, flush=True)
        keep(row)
    return 0


def run(case: AppleCase, work: Path, commit: str) -> Row:
    """One model: both formats in one build, or each alone where that ends in an error."""
    folder = work / case.name.replace(" ", "_").replace(":", "-")
    prepare(case, folder)
    started = time.monotonic()
    try:
        found = artifacts(folder, FORMATS)
    except PhoneproofError:
        found = alone(folder)
    return Row(
        model=case.name,
        images=case.source.images,
        artifacts=found,
        seconds=round(time.monotonic() - started, 1),
        commit=commit,
    )


def alone(folder: Path) -> dict[str, Figures]:
    """Each format in a build of its own."""
    found: dict[str, Figures] = {}
    for format_ in FORMATS:
        try:
            found |= artifacts(folder, (format_,))
        except PhoneproofError as error:
            words = f"{type(error).__name__}: {error.failed} ({error.found})"
            found |= {f"{format_}-{precision}": Figures(verdict=words) for precision in PRECISIONS}
    return found


def artifacts(folder: Path, formats: tuple[str, ...]) -> dict[str, Figures]:
    """``coreml-float16`` -> its figures; a refused capture gives the same words for all."""
    config = load_config(build_config(folder, formats))
    shutil.rmtree(config.package.directory, ignore_errors=True)
    report = build(config, workspace=folder / ".phoneproof").report
    if not report.artifacts:
        words = f"refused at the capture: {failures(report.gate)}"
        return {
            f"{format_}-{precision}": Figures(verdict=words)
            for format_ in formats
            for precision in PRECISIONS
        }
    apart = differences(report, folder / ".phoneproof", folder / "images")
    found = {f"{one.format}-{one.requested}": figures(one) for one in report.artifacts}
    return found | {id_: replace(found[id_], **asdict(one)) for id_, one in apart.items()}


if __name__ == "__main__":
    sys.exit(main())
