"""Rows of the quantization benchmark: kept beside it case by case, and drawn into the page."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import msgspec

from benchmarks.quantization_cases import CASES
from benchmarks.quantization_figures import Figure
from benchmarks.quantization_ours import TITLES as OURS
from benchmarks.quantization_rivals import RIVALS
from phoneproof.core.contract import Task
from phoneproof.pipeline.step import tool_versions

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "quantization.json"
PAGE = ROOT / "docs" / "reference" / "quantization.md"
BEGIN, END = "<!-- quantization: begin -->", "<!-- quantization: end -->"

TITLES = OURS | {name: rival.title for name, rival in RIVALS.items()}
_TOOLS = (
    *("ai-edge-quantizer", "tensorflow-cpu", "onnxruntime", "ai-edge-litert", "litert-torch"),
    *("torch", "numpy"),
)
_POINTS = ("top1", "top1_drop", "map50_95", "map50_95_drop", "small_recall_drop")
_SHARES = ("top1_agreement", "lost_share")

_CLASSIFY = ("top1", "top1_drop", "top1_agreement", "score_shift")
_DETECT = ("map50_95", "map50_95_drop", "small_recall_drop", "lost_share", "score_shift")
_WORDS = {
    "top1": "top-1",
    "top1_drop": "top-1 drop",
    "top1_agreement": "agreement",
    "map50_95": "mAP50-95",
    "map50_95_drop": "mAP50-95 drop",
    "small_recall_drop": "small recall drop",
    "lost_share": "lost share",
    "score_shift": "score shift",
}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One quantizer on one case.

    broke: why there is no figure. gate, refused_by: whether phoneproof's default limits for
    quantized files accept it, and the checks that failed. bytes, seconds, peak_bytes,
    macs_above_int8: of the half that is worse. note: what the quantizer itself said. shipped:
    false where its own build refused a half; the figures pool what was measured all the same.
    commit: of the code that measured.
    """

    case: str
    who: str
    task: Task
    n: int
    labelled: bool
    size_only: bool = False
    broke: str = ""
    figures: tuple[Figure, ...] = ()
    gate: bool = False
    refused_by: tuple[str, ...] = ()
    bytes: int | None = None
    bytes_ratio: float | None = None
    macs_above_int8: float | None = None
    seconds: float | None = None
    peak_bytes: int | None = None
    note: str = ""
    shipped: bool = True
    commit: str = ""

    def figure(self, name: str) -> Figure | None:
        """The figure of that name, where it was measured."""
        return next((one for one in self.figures if one.name == name), None)


def keep(fresh: Sequence[Row], results: Path = RESULTS, page: Path = PAGE) -> None:
    """Write rows beside the others, and all of them into the page."""
    before = json.loads(results.read_text())["rows"] if results.exists() else []
    rows = merged(msgspec.convert(before, list[Row]), fresh)
    record = {
        "machine": f"{platform.machine()}, {platform.system()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": dict(tool_versions(_TOOLS)),
        "rows": msgspec.to_builtins(rows),
    }
    results.write_text(json.dumps(record, indent=2) + "\n")
    head, _, rest = page.read_text().partition(BEGIN)
    tail = rest.partition(END)[2]
    page.write_text(f"{head}{BEGIN}\n{tables(rows)}\n{END}{tail}")


def merged(known: Iterable[Row], fresh: Iterable[Row]) -> list[Row]:
    """Fresh rows in place of known ones of the same case and quantizer; cases in their order."""
    by_key = {(row.case, row.who): row for row in (*known, *fresh)}
    order = [(case.name, who) for case in CASES for who in TITLES]
    return [by_key[key] for key in order if key in by_key]


def totals(rows: Iterable[Row], name: str) -> Mapping[str, tuple[float, float, int]]:
    """Quantizer -> mean and worst value of a figure over the cases that have it, and how many.

    Worst is the lowest agreement, the largest magnitude of a shift, the largest of all others.
    """
    found: dict[str, list[float]] = {}
    for row in rows:
        one = row.figure(name)
        if one is not None and one.value is not None:
            value = abs(one.value) if name == "score_shift" else one.value
            found.setdefault(row.who, []).append(value)
    worst = min if name.endswith("agreement") else max
    return {who: (fmean(values), worst(values), len(values)) for who, values in found.items()}


def tables(rows: Sequence[Row]) -> str:
    """Everything as Markdown."""
    classify = [row for row in rows if row.task == "classify" and not row.size_only]
    detect = [row for row in rows if row.task == "detect"]
    size = [row for row in rows if row.size_only]
    parts = [
        ("Classifiers", _table(classify, _CLASSIFY)),
        ("Over all classifiers", _totals_table(classify, _CLASSIFY[1:])),
        ("Detectors", _table(detect, _DETECT)),
        ("Over all detectors", _totals_table(detect, _DETECT[1:])),
        ("Size alone: random weights", _table(size, ())),
    ]
    return "\n\n".join(f"### {title}\n\n{table}" for title, table in parts if table)


def _table(rows: Sequence[Row], names: Sequence[str]) -> str:
    if not rows:
        return ""
    shown = ["model", "n", "quantizer", *(_WORDS[name] for name in names)]
    shown += ["wider than int8", "size", "s", "MB", "accepted"]
    lines = [_line(shown), _line(["---"] * len(shown))]
    return "\n".join([*lines, *(_line(_cells(row, names)) for row in rows)])


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    cells = [row.case, str(row.n), TITLES[row.who]]
    if row.broke:
        return [*cells, row.broke, *[""] * (len(names) + 4)]
    cells += [_shown(row.figure(name)) for name in names]
    cells.append("?" if row.macs_above_int8 is None else f"{row.macs_above_int8:.1%} of MACs")
    cells.append("" if row.bytes_ratio is None else f"{row.bytes_ratio:.1%}")
    cells.append("" if row.seconds is None else f"{row.seconds:.0f}")
    cells.append("" if row.peak_bytes is None else f"{row.peak_bytes / 1e6:.0f}")
    cells.append(f"{_verdict(row)} ({row.note})" if row.note else _verdict(row))
    return cells


def _verdict(row: Row) -> str:
    """What the pooled figures say; but what its own build did not ship nobody has."""
    if not row.shipped:
        return "no (not shipped)"
    refused = ", ".join(_WORDS.get(name, name) for name in dict.fromkeys(row.refused_by))
    return "-" if row.size_only else "yes" if row.gate else f"no: {refused or 'undecided'}"


def _shown(figure: Figure | None) -> str:
    """A value with its bounds; losses in points, shares in percent, shifts as they are."""
    if figure is None or figure.value is None:
        return "-"
    scale, digits, unit = _scale(figure.name)
    text = f"{figure.value * scale:.{digits}f}{unit}"
    if figure.lower is None or figure.upper is None:
        return text
    low, high = (f"{bound * scale:.{digits}f}" for bound in (figure.lower, figure.upper))
    return f"{text} [{low}, {high}]"


def _scale(name: str) -> tuple[float, int, str]:
    if name in _POINTS:
        return 100.0, 2, ""
    return (100.0, 1, "%") if name in _SHARES else (1.0, 3, "")


def _totals_table(rows: Sequence[Row], names: Sequence[str]) -> str:
    if not rows:
        return ""
    found = {name: totals(rows, name) for name in names}
    head = ["quantizer", "models", *(f"{_WORDS[name]}: mean, worst" for name in names)]
    lines = [_line(head), _line(["---"] * len(head))]
    for who, title in TITLES.items():
        ran = sum(row.who == who and not row.broke for row in rows)
        of = sum(row.who == who for row in rows)
        if of:
            cells = [_pair(name, found[name].get(who)) for name in names]
            lines.append(_line([title, f"{ran} of {of}", *cells]))
    return "\n".join(lines)


def _pair(name: str, total: tuple[float, float, int] | None) -> str:
    if total is None:
        return "-"
    scale, digits, unit = _scale(name)
    return f"{total[0] * scale:.{digits}f}, {total[1] * scale:.{digits}f}{unit} ({total[2]})"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"
