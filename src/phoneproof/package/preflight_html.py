"""preflight.html, and what the report's page needs to show the same."""

from __future__ import annotations

from collections.abc import Sequence

import jinja2

from phoneproof.core.preflight import Preflight, PreflightReport, Surprise
from phoneproof.package import preflight_words
from phoneproof.package.contact_sheet import Tile


def add_preflight_words(environment: jinja2.Environment) -> None:
    """What the templates ``_preflight*.j2`` call."""
    environment.globals.update(
        class_totals=_class_totals,
        feature_title=preflight_words.FEATURE_TITLE,
        set_words=preflight_words.set_words,
        summary_line=preflight_words.summary_line,
        surprise_text=preflight_words.surprise_text,
        surprise_words=preflight_words.surprise_words,
        surprises_of=_surprises_of,
    )


def render_preflight(report: PreflightReport, tiles: Sequence[Tile]) -> str:
    """The page of ``phoneproof preflight``. It requests nothing: everything is inside."""
    # Here, because report_html needs this module's words.
    from phoneproof.package.report_html import page_environment

    return (
        page_environment()
        .get_template("preflight.html.j2")
        .render(report=report, preflight=report.production, recorded=report.recorded, tiles=tiles)
    )


def _surprises_of(preflight: Preflight, sha256: str) -> tuple[Surprise, ...]:
    found = (p.surprises for p in preflight.pictures if p.sha256 == sha256)
    return next(found, ())


def _class_totals(preflight: Preflight) -> tuple[int, int]:
    """Of the listed classes; at least 1, because they are divided by."""
    return (
        max(1, sum(row.evaluation for row in preflight.classes)),
        max(1, sum(row.production for row in preflight.classes)),
    )
