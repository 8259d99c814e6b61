"""MODEL_CARD.md: what the model is, what it takes, what was measured, what was not."""

from __future__ import annotations

from phoneproof.core.check import Check
from phoneproof.core.report import ArtifactReport, Report
from phoneproof.package.device_words import DEVICE_HEADER, card_rows
from phoneproof.package.input_words import input_words, own_threshold_words, results_words
from phoneproof.package.markdown import bullets, plain, table
from phoneproof.package.optimization_words import (
    advice_lines,
    optimization_lines,
    phone_lines,
)
from phoneproof.package.preflight_words import set_words, summary_line
from phoneproof.package.wording import (
    bounds_text,
    check_title,
    headline,
    limit_text,
    sentence,
    size,
    with_unit,
)

MAX_LABELS = 100
_NOT_MEASURED = (
    "Speed and memory on a phone, and its accelerators (GPU, NPU): not measured here.",
    "Images unlike the evaluation images: not measured.",
    "Differences between groups of people: not measured.",
)


def model_card(report: Report) -> str:
    """The card's Markdown."""
    head = headline(report)
    sections = (
        [f"# {plain(report.name)} {plain(report.version)}", plain(head.sentence)],
        [bullets((*advice_lines(report), *head.support))],
        _what(report),
        _input(report),
        _labels(report),
        _measured(report),
        _devices(report),
        _files(report),
        _licence(report),
        _limits(report),
    )
    return "\n\n".join(part for section in sections for part in section if part) + "\n"


def _what(report: Report) -> list[str]:
    capture = report.capture
    family = capture.evidence.family or capture.evidence.framework
    return [
        "## What it is",
        f"A model for the task `{capture.contract.task}` ({plain(family)}), read from "
        f"{plain(capture.source_name)} (sha256 `{capture.source_sha256}`). "
        f"{plain(results_words(capture.contract))}",
        *(
            plain(words)
            for artifact in report.artifacts
            if (words := own_threshold_words(artifact, capture.contract))
        ),
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
    return [*parts, *_recorded(report), *_production(report), *_optimized(report)]


def _devices(report: Report) -> list[str]:
    if not report.devices:
        return []
    rows = [row for device in report.devices for row in card_rows(device)]
    return ["## On devices", table(DEVICE_HEADER, rows)]


def _optimized(report: Report) -> list[str]:
    parts: list[str] = []
    for title, lines in (
        ("How the files were made smaller", optimization_lines(report)),
        ("What phones make of them, by the delegates' published rules", phone_lines(report)),
    ):
        if lines:
            parts += [f"### {title}", bullets(lines)]
    return parts


def _recorded(report: Report) -> list[str]:
    if not report.recorded:
        return []
    lines = tuple(plain(metric.sentence) for metric in report.recorded)
    return ["### Recorded by the training, and measured here", bullets(lines)]


def _production(report: Report) -> list[str]:
    preflight = report.preflight
    if preflight is None:
        return []
    lines = (plain(sentence(summary_line(preflight))), plain(set_words(preflight)))
    return ["### Production images, without labels", bullets(lines)]


def _table(checks: tuple[Check, ...]) -> str:
    header = ("check", "verdict", "value", "95 % bounds", "limit", "n", "against")
    return table(header, [_check_row(check) for check in checks])


def _check_row(check: Check) -> tuple[str, ...]:
    return (
        check_title(check),
        check.verdict if check.gating else "shown only",
        with_unit(check.value, check.unit),
        bounds_text(check),
        limit_text(check),
        str(check.n),
        check.against,
    )


def _files(report: Report) -> list[str]:
    if not report.artifacts:
        return []
    header = ("file", "format", "precision", "size", "sha256")
    rows = [_file_row(artifact) for artifact in report.artifacts]
    return ["## Files", table(header, rows), *_route_line(report)]


def _route_line(report: Report) -> list[str]:
    if report.classic is None:
        return []
    stations = ["hub", *(link.edge.partition("-")[2] for link in report.classic.links)]
    return [
        f"The files under `artifacts/classic` were made one from the other: "
        f"{' -> '.join(stations)}; each was compared with the one before it."
    ]


def _file_row(artifact: ArtifactReport) -> tuple[str, ...]:
    bytes_ = size(artifact.bytes)
    return (artifact.path, artifact.format, artifact.precision, bytes_, artifact.sha256)


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
    hazards = tuple(f"{h.name}: {h.found}. Next step: {h.next_step}" for h in report.hazards)
    lines = undecided + hazards + _NOT_MEASURED[bool(report.devices) :]
    if not any(data.labelled for data in report.datasets):
        lines += ("Accuracy: not measured, the images carry no labels; only agreement is.",)
    return ["## Limits, and what was not measured", bullets(lines)]
