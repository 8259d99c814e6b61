"""Rows of the Apple benchmark: kept model by model, and drawn as tables."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass

from benchmarks.acceptance import ROOT
from benchmarks.apple_cases import CASES, FORMATS, PRECISIONS
from benchmarks.apple_figures import Figures
from phoneproof.pipeline.step import tool_versions

RESULTS = ROOT / "benchmarks" / "results" / "apple.json"
PAGE = ROOT / "docs" / "reference" / "apple-models.md"
BEGIN, END = "<!-- apple: begin -->", "<!-- apple: end -->"
_TOOLS = ("torch", "coremltools", "coreai-torch", "coreai-core", "numpy")
_NAMES = {"coreml": "Core ML", "coreai": "Core AI"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model. images: the folder of the assets. artifacts: ``coreml-float16`` -> figures."""

    model: str
    images: str
    artifacts: dict[str, Figures]
    seconds: float
    commit: str


def known() -> dict[str, Row]:
    """The rows that were kept, by model."""
    if not RESULTS.exists():
        return {}
    rows = json.loads(RESULTS.read_text())["rows"]
    return {row["model"]: _row(row) for row in rows}


def measured_at(model: str) -> str:
    """The commit of a model's row; empty where there is none."""
    rows = known()
    return rows[model].commit if model in rows else ""


def keep(row: Row) -> None:
    """Replace the row of its model, in the results and on the page."""
    rows = known() | {row.model: row}
    in_order = [rows[case.name] for case in CASES if case.name in rows]
    record = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        "versions": dict(tool_versions(_TOOLS)),
        "rows": [asdict(one) for one in in_order],
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{tables(in_order)}\n{END}{after}")


def tables(rows: list[Row]) -> str:
    """One table for each format, then what was refused."""
    parts = [_table(format_, rows) for format_ in FORMATS]
    return "\n\n".join((*parts, _refused(rows)))


def _table(format_: str, rows: list[Row]) -> str:
    lines = [
        f"**{_NAMES[format_]}**, run by {', '.join(runtimes(format_, rows))}:",
        "",
        "| model | images | float32 | dB | from the hub | from exact | hub from exact | float16 | "
        "dB | float32 layers | weights held | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        wide, narrow = (row.artifacts[f"{format_}-{precision}"] for precision in PRECISIONS)
        cells = (
            row.model,
            str(wide.n or narrow.n or "-"),
            _verdict(wide),
            _shown(wide.snr_db),
            *map(_small, (wide.to_hub, wide.to_exact, wide.hub_to_exact)),
            _verdict(narrow),
            _shown(narrow.snr_db),
            "-" if narrow.islands is None else str(narrow.islands),
            narrow.held or "-",
            f"{row.seconds:.0f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def runtimes(format_: str, rows: list[Row]) -> list[str]:
    """Every runtime that made figures of a format, with its version."""
    return sorted(
        {
            one.runtime
            for row in rows
            for id_, one in row.artifacts.items()
            if id_.startswith(format_) and one.runtime
        }
    )


def _verdict(one: Figures) -> str:
    return one.verdict if one.n else "none"


def _refused(rows: list[Row]) -> str:
    lines = ["What is not there, and why:", ""]
    for row in rows:
        reasons: dict[str, list[str]] = {}
        for id_, one in row.artifacts.items():
            if not one.n:
                reasons.setdefault(one.verdict, []).append(id_)
            elif one.verdict.startswith("refused"):
                reasons.setdefault(f"refused: {one.failed}", []).append(id_)
        lines += [
            f"- {row.model}, {', '.join(ids)}: {reason}".replace("|", "/")
            for reason, ids in reasons.items()
        ]
    return "\n".join(lines if len(lines) > 2 else (*lines, "- nothing"))


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _small(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _row(record: dict[str, object]) -> Row:
    artifacts = record["artifacts"]
    assert isinstance(artifacts, dict)
    figures = {id_: Figures(**one) for id_, one in artifacts.items()}
    return Row(**{**record, "artifacts": figures})  # type: ignore[arg-type]
