"""A short Markdown summary for CI: the verdict, a line an artifact, what was refused."""

from __future__ import annotations

from phoneproof.core.check import Check, Verdict
from phoneproof.core.report import ArtifactReport, Report
from phoneproof.package.markdown import bullets, plain, table
from phoneproof.package.optimization_words import (
    ATTEMPT_HEADER,
    advice_lines,
    attempt_row,
    closest_words,
)
from phoneproof.package.wording import (
    bounds_text,
    check_title,
    headline,
    limit_text,
    open_checks,
    size,
    with_unit,
)

_MARK: dict[Verdict, str] = {"pass": "✅ pass", "undecided": "❔ undecided", "fail": "❌ fail"}
_HEADER = ("artifact", "verdict", "size", "checks passed", "open or refused")


def summary_markdown(report: Report) -> str:
    """The summary; what a CI shows beside the build."""
    head = headline(report)
    parts = [
        f"## {plain(report.name)} {plain(report.version)}",
        f"**{plain(head.sentence)}**",
        bullets(head.support),
        bullets(advice_lines(report)),
    ]
    if report.artifacts:
        parts.append(table(_HEADER, [_row(artifact) for artifact in report.artifacts]))
    refused = [_line("capture", c) for c in report.gate if c.gating and c.verdict != "pass"]
    refused += [_line(a.id, c) for a in report.artifacts for c in open_checks(a)]
    if refused:
        header = ("where", "check", "verdict", "value", "95 % bounds", "limit", "n")
        parts.append(table(header, refused))
    for artifact in report.artifacts:
        if artifact.attempts and not artifact.accepted:
            closest = plain(closest_words(artifact, report))
            parts.append(f"**{plain(artifact.id)}, what was tried.** {closest}")
            parts.append(table(ATTEMPT_HEADER, [attempt_row(one) for one in artifact.attempts]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _row(artifact: ArtifactReport) -> tuple[str, ...]:
    gating = [check for check in artifact.checks if check.gating]
    passed = sum(check.verdict == "pass" for check in gating)
    names = ", ".join(check_title(check) for check in open_checks(artifact))
    verdict = _MARK[artifact.verdict]
    if artifact.verdict == "undecided":
        verdict += ", accepted" if artifact.accepted else ", refused"
    return (artifact.id, verdict, size(artifact.bytes), f"{passed} of {len(gating)}", names)


def _line(where: str, check: Check) -> tuple[str, ...]:
    return (
        where,
        check_title(check),
        _MARK[check.verdict],
        with_unit(check.value, check.unit),
        bounds_text(check),
        limit_text(check),
        str(check.n),
    )
