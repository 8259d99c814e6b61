"""The long table: every real model through the whole pipeline, against what is known of it.

    make acceptance            all of them
    python -m benchmarks.acceptance yolox weather     only those whose name contains a word

Writes ``benchmarks/results/acceptance.json`` (machine, versions, every figure) and the table in
``docs/reference/sources.md``. Exits with 1 where a model is refused that should not be, is captured
that should be refused, or its figure is off.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.acceptance_cases import CASES, Case
from phoneproof.core.check import Check
from phoneproof.core.errors import PhoneproofError
from phoneproof.core.report import RefusedImporter, Report
from phoneproof.pipeline.build import build
from phoneproof.pipeline.config import load_config
from phoneproof.pipeline.start import start_project
from phoneproof.pipeline.step import tool_versions

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT.parent / "shared" / "assets"
FACTORIES = ROOT / "benchmarks" / "factories"
RESULTS = ROOT / "benchmarks" / "results" / "acceptance.json"
PAGE = ROOT / "docs" / "reference" / "sources.md"
BEGIN, END = "<!-- acceptance: begin -->", "<!-- acceptance: end -->"

TOLERANCE = {"map50": 0.015, "top1": 0.009}
"""The known figures come from another evaluator: mAP from another matching and interpolation,
top-1 of the ImageNet models from another resize (3 of 350 images; no geometry and filter of some
fifty tried gives both known figures at once)."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What came out.

    source: the metric of the source's own outputs; artifacts: the lowest of the artifacts'.
    agreement: the lowest share of results that an artifact has in common with its baseline, ties
    set aside; difference: the hub's largest, relative to the output's magnitude, or its SNR in dB
    where the source is quantised.
    """

    name: str
    verdict: str
    holds: bool
    importer: str = "-"
    metric: str = "agreement"
    known: float | None = None
    source: float | None = None
    artifacts: float | None = None
    agreement: float | None = None
    hub: str = "-"
    n: int = 0
    made: str = ""
    refused_importers: str = ""
    seconds: float = 0.0
    commit: str = ""


def main() -> int:
    """Run the cases that were named, print the table, keep the results."""
    words = sys.argv[1:]
    commit = commit_shown()
    rows = []
    for case in CASES:
        if not words or any(word in case.name for word in words):
            print(f"{case.name} ...", file=sys.stderr, flush=True)
            rows.append(replace(run(case), commit=commit))
            print(line(rows[-1]), flush=True)
            keep(rows)
    return 0 if all(row.holds for row in rows) else 1


def run(case: Case) -> Row:
    """init and build one model in a folder of its own."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="phoneproof-acceptance-") as scratch:
        config = Path(scratch, "phoneproof.toml")
        try:
            write_config(case, config)
            outcome = build(load_config(config), workspace=Path(scratch, ".phoneproof"))
        except PhoneproofError as error:
            row = refused(case, error)
        else:
            row = measured(case, outcome.report)
    return replace(row, seconds=round(time.monotonic() - started, 1))


def write_config(case: Case, config: Path) -> None:
    """What `phoneproof init` writes; the user's own knowledge replaces its ``[contract]``."""
    if case.factory:
        for code in FACTORIES.glob("*.py"):
            shutil.copy(code, config.parent)
    start_project(
        ASSETS / case.model,
        ASSETS / case.images,
        config=config,
        labels=None,
        preset=None,
        task=case.task,
        factory=case.factory,
        overwrite=False,
        search=not case.contract,  # what the user knows needs no search
        listener=lambda event: None,
    )
    text = config.read_text()
    if case.contract:
        before, _, rest = text.partition("\n[contract]\n")
        targets = rest[rest.index("\n[targets.") :]
        text = f"{before}\n[contract]\n{case.contract}\n{targets}"
    if case.route != "direct":
        text = text.partition("[targets.android]")[0]
        text += f'[targets.android]\nroute = "{case.route}"\nprecisions = ["float32"]\n'
    if case.precisions:
        text = text.partition("[targets.android]")[0]
        wanted = ", ".join(f'"{precision}"' for precision in case.precisions)
        text += f"[targets.android]\nprecisions = [{wanted}]\n"
    config.write_text(text)


def measured(case: Case, report: Report) -> Row:
    """The row of a build that ended, accepted or refused."""
    checks = [check for artifact in report.artifacts for check in artifact.checks]
    source = value_of(case.metric, report.source)
    expected = case.known is None or (
        source is not None and abs(source - case.known) <= TOLERANCE[case.metric or ""]
    )
    why = reasons(report)
    as_expected = report.accepted if case.refused is None else case.refused in why
    return Row(
        name=case.name,
        verdict="accepted" if report.accepted else f"refused: {why}",
        holds=as_expected and expected,
        importer=report.capture.importer,
        metric=case.metric or "agreement",
        known=case.known,
        source=source,
        artifacts=value_of(case.metric, checks),
        agreement=min((a for a in map(agreement_of, checks) if a is not None), default=None),
        hub=hub_difference(report),
        n=max((data.n for data in report.datasets), default=0),
        made=", ".join(f"{a.id} {a.verdict}" for a in report.artifacts),
        refused_importers="; ".join(map(lost_words, report.refused_importers)),
    )


def value_of(metric: str | None, checks: Sequence[Check]) -> float | None:
    """The lowest value of a metric; null where it was not measured."""
    values = [c.value for c in checks if c.name == metric and c.value is not None]
    return min(values, default=None)


def agreement_of(check: Check) -> float | None:
    """Share of results in common, of a check that says so."""
    return check.value if check.name in ("top1_agreement", "box_agreement") else None


def hub_difference(report: Report) -> str:
    """How far the hub is from the source's own runtime."""
    relative = [c.value for c in report.gate if c.name == "hub_equivalence" and c.value is not None]
    if relative:
        return f"{max(relative):.1e}"
    decibels = [c.value for c in report.gate if c.name == "snr_db" and c.value is not None]
    return f"{min(decibels):.0f} dB" if decibels else "-"


def lost_words(lost: RefusedImporter) -> str:
    """An importer that lost, with its measured difference or its error."""
    values = [c.value for c in lost.checks if c.name == "hub_equivalence" and c.value is not None]
    if values:
        return f"{lost.importer}: {max(values):.1e}"
    failed = [f"{c.name} {c.value:.3g}" for c in lost.checks if c.verdict == "fail" and c.value]
    return f"{lost.importer}: {lost.reason or ', '.join(failed)}"


def reasons(report: Report) -> str:
    """The checks that failed, named."""
    failed: list[tuple[str, Check]] = [("hub", check) for check in report.gate]
    failed += [(a.id, check) for a in report.artifacts for check in a.checks]
    return "; ".join(
        f"{place} {check.name} {check.value}"
        for place, check in failed
        if check.gating and check.verdict != "pass"
    )


def refused(case: Case, error: PhoneproofError) -> Row:
    """The row of a build that could not be done: right where that is what was expected."""
    words = f"{type(error).__name__}: {error.failed}"
    said = f"{error.failed} {error.found} {error.next_step}"
    return Row(
        name=case.name,
        verdict=f"refused, {words}",
        holds=case.refused is not None and case.refused in said,
        metric=case.metric or "agreement",
        known=case.known,
    )


def line(row: Row) -> str:
    """One row as Markdown."""
    cells = (
        row.name,
        row.importer,
        row.hub,
        row.metric,
        shown(row.known, 3),
        shown(row.source, 4),
        shown(row.artifacts, 4),
        shown(row.agreement, 4),
        str(row.n or "-"),
        row.verdict + (f" (lost: {row.refused_importers})" if row.refused_importers else ""),
        "yes" if row.holds else "NO",
    )
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def shown(value: float | None, digits: int) -> str:
    """A figure, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"


HEADER = (
    "| model | importer | hub off by | metric | known | source | artifacts | agreement | n "
    "| verdict | holds |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def commit_shown() -> str:
    """The commit that is measured, with a + where files differ from it."""
    words = ["git", "describe", "--always", "--dirty=+"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def keep(fresh: list[Row]) -> None:
    """Write the results beside the benchmark, and the table into the documentation.

    Rows of cases that were not run stay as they were, with the commit they were measured at.
    """
    before = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    known = {row["name"]: row for row in before} | {row.name: asdict(row) for row in fresh}
    rows = [Row(**known[case.name]) for case in CASES if case.name in known]
    versions = tool_versions(
        ("torch", "tensorflow-cpu", "onnxruntime", "ai-edge-litert", "litert-torch", "numpy")
    )
    record = {
        "machine": f"{platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        "versions": dict(versions),
        "rows": [asdict(row) for row in rows],
    }
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")
    before_table, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after_table = rest.partition(END)
    table = "\n".join([HEADER, *map(line, rows)])
    PAGE.write_text(f"{before_table}{BEGIN}\n{table}\n{END}{after_table}")


if __name__ == "__main__":
    sys.exit(main())
