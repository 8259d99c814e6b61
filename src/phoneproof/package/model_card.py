"""MODEL_CARD.md: what the model is, what it takes, what was measured, what was not."""

from __future__ import annotations

import re

from phoneproof.core.check import Check
from phoneproof.core.report import ArtifactReport, Report
from phoneproof.package.input_words import input_words, results_words
from phoneproof.package.wording import check_title, headline, limit_text, number, size, with_unit

MAX_LABELS = 100
_NOT_MEASURED = (
    "Speed and memory on a phone, and its accelerators (GPU, NPU): not measured here.",
    "Images unlike the evaluation images: not measured.",
    "Differences between groups of people: not measured.",
)
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|!&~])")


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def model_card(report: Report) -> str:
    """The card's Markdown."""
    head = headline(report)
    sections = (
        [f"# {plain(report.name)} {plain(report.version)}", plain(head.sentence)],
        [_bullets(head.support)],
        _what(report),
        _input(report),
        _labels(report),
        _measured(report),
        _files(report),
        _licence(report),
        _limits(report),
    )
    return "\n\n".join(part for section in sections for part in section if part) + "\n"


def _bullets(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {plain(line)}" for line in lines)


def _what(report: Report) -> list[str]:
    capture = report.capture
    family = capture.evidence.family or capture.evidence.framework
    return [
        "## What it is",
        f"A model for the task `{capture.contract.task}` ({plain(family)}), read from "
        f"`{capture.source_name.replace('`', '')}` (sha256 `{capture.source_sha256}`). "
        f"{plain(results_words(capture.contract))}",
    ]


def _input(report: Report) -> list[str]:
    words = input_words(report.capture.contract)
    return ["## What it takes", "\n".join(f"1. {plain(line)}" for line in words)]


def _labels(report: Report) -> list[str]:
    labels = report.capture.contract.labels
    if not labels:
        return []
    shown = [f"{i} {plain(x or '(unused)')}" for i, x in enumerate(labels[:MAX_LABELS])]
    rest = f", and {len(labels) - MAX_LABELS} more in `contract.json`"
    return ["## Labels", ", ".join(shown) + (rest if len(labels) > MAX_LABELS else "") + "."]


def _measured(report: Report) -> list[str]:
    parts = ["## What was measured"]
    for artifact in report.artifacts:
        parts += [f"### {artifact.id}: {artifact.verdict}", _table(artifact.checks)]
    if not report.artifacts:
        parts += ["### capture gate", _table(report.gate)]
    return parts


def _table(checks: tuple[Check, ...]) -> str:
    lines = [
        "| check | verdict | value | 95 % bounds | limit | n | against |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for check in checks:
        bounds = f"{number(check.bounds[0])} to {number(check.bounds[1])}" if check.bounds else ""
        cells = (
            check_title(check),
            check.verdict if check.gating else "shown only",
            with_unit(check.value, check.unit),
            bounds,
            limit_text(check),
            str(check.n),
            check.against,
        )
        lines.append("| " + " | ".join(plain(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _files(report: Report) -> list[str]:
    if not report.artifacts:
        return []
    lines = ["| file | format | precision | size | sha256 |", "|---|---|---|---:|---|"]
    lines += [_file_row(artifact) for artifact in report.artifacts]
    return ["## Files", "\n".join(lines)]


def _file_row(artifact: ArtifactReport) -> str:
    path = plain(artifact.path)
    return (
        f"| {path} | {artifact.format} | {plain(artifact.precision)} "
        f"| {size(artifact.bytes)} | `{artifact.sha256}` |"
    )


def _licence(report: Report) -> list[str]:
    licence = report.capture.evidence.license
    text = (
        f"The source file states: {plain(licence)}. Converting a model does not change its "
        "licence; check that it allows what you are going to do."
        if licence
        else "The source file states none. Find out before you ship."
    )
    return ["## Licence", text]


def _limits(report: Report) -> list[str]:
    undecided = tuple(
        f"{check_title(c)} of {artifact.id}: {c.n} images do not decide it"
        + (f"; about {c.n_needed} would." if c.n_needed else ".")
        for artifact in report.artifacts
        for c in artifact.checks
        if c.gating and c.verdict == "undecided"
    )
    hazards = tuple(f"{h.name}: {h.found}. {h.next_step}" for h in report.hazards)
    lines = undecided + hazards + _NOT_MEASURED
    if not any(data.labelled for data in report.datasets):
        lines += ("Accuracy: not measured, the images carry no labels; only agreement is.",)
    return ["## Limits, and what was not measured", _bullets(lines)]
