"""Every classifier and detector of the assets at four precisions: accepted, or the tries it took.

    python -m benchmarks.precisions WORK [WORD…]     WORK as for benchmarks.quantization

One build a model: TFLite, ``precisions = ["float32", "float16", "dynamic_wi8", "int8"]``, all of
its images, defaults otherwise. Writes ``benchmarks/results/precisions.json`` and the table in
``docs/reference/quantization.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.acceptance import ROOT, commit_shown
from benchmarks.quantization_cases import CASES, QuantizationCase
from benchmarks.quantization_floats import float_files
from phoneproof.core.errors import PhoneproofError
from phoneproof.core.report import ArtifactReport
from phoneproof.pipeline.build import build
from phoneproof.pipeline.config import load_config

RESULTS = ROOT / "benchmarks" / "results" / "precisions.json"
PAGE = ROOT / "docs" / "reference" / "quantization.md"
BEGIN, END = "<!-- precisions: begin -->", "<!-- precisions: end -->"
PRECISIONS = ("float32", "float16", "dynamic_wi8", "int8")
_TARGET = f'[targets.android]\nformats = ["tflite"]\nprecisions = {json.dumps(PRECISIONS)}\n'
_CHECKS = '\n[checks]\ncontract_search = "off"\n'


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model. cells: a precision that was asked for -> what came of it, in words."""

    case: str
    n: int
    verdict: str
    cells: dict[str, str]
    seconds: float
    peak_bytes: int
    commit: str


def main() -> int:
    """Build what was named, print each row, keep the results."""
    parser = argparse.ArgumentParser(prog="benchmarks.precisions")
    parser.add_argument("work", type=Path)
    parser.add_argument("words", nargs="*")
    asked = parser.parse_args()
    for case in CASES:
        wanted = not asked.words or any(word in case.name for word in asked.words)
        if wanted and not case.size_only:
            print(f"{case.name} ...", file=sys.stderr, flush=True)
            row = run(case, asked.work)
            print(row, flush=True)
            keep(row)
    return 0


def run(case: QuantizationCase, work: Path) -> Row:
    """One build from nothing."""
    floats = float_files(case, work)
    folder = floats.config.parent.parent / "precisions"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(floats.config.parent, folder, ignore=shutil.ignore_patterns("dist", ".phone*"))
    config = folder / "phoneproof.toml"
    config.write_text(config.read_text().partition("[targets.")[0] + _TARGET + _CHECKS)
    started = time.monotonic()
    try:
        report = build(load_config(config), workspace=folder / ".phoneproof").report
    except PhoneproofError as error:
        cells = dict.fromkeys(PRECISIONS, str(error.failed))
        verdict, peak = f"exit {error.exit_code}", 0
    else:
        cells = {str(one.requested): words(one) for one in report.artifacts}
        verdict, peak = ("accepted" if report.accepted else "exit 7"), report.peak_rss_bytes
    return Row(
        case=case.name,
        n=len(floats.images.items),
        verdict=verdict,
        cells=cells,
        seconds=round(time.monotonic() - started, 1),
        peak_bytes=peak,
        commit=commit_shown(),
    )


def words(artifact: ArtifactReport) -> str:
    """``accepted, 3.3 MB (int8 after 6 tries)``."""
    tries = sum(not one.broke.startswith("not tried") for one in artifact.attempts)
    took = f" after {tries} tries" if tries > 1 else ""
    said = "accepted" if artifact.accepted else "refused"
    return f"{said}, {artifact.bytes / 1e6:.2f} MB ({artifact.precision}{took})"


def keep(row: Row) -> None:
    """Replace the row of its model, in the results and on the page."""
    held = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    rows = {one["case"]: one for one in held} | {row.case: asdict(row)}
    in_order = [rows[case.name] for case in CASES if case.name in rows]
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    RESULTS.write_text(json.dumps({"machine": machine, "rows": in_order}, indent=1) + "\n")
    table = [
        f"| model | images | build | {' | '.join(PRECISIONS)} | seconds |",
        f"|{'---|' * (4 + len(PRECISIONS))}",
    ]
    table += [
        f"| {one['case']} | {one['n']} | {one['verdict']} | "
        + " | ".join(one["cells"].get(name, "-") for name in _asked_as())
        + f" | {one['seconds']:.0f} |"
        for one in in_order
    ]
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(table) + f"\n{END}{after}")


def _asked_as() -> tuple[str, ...]:
    return tuple("static_wi8_ai8" if name == "int8" else name for name in PRECISIONS)


if __name__ == "__main__":
    sys.exit(main())
