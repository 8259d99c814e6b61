"""What the terminal says of a refused build: which check, and what to do."""

from __future__ import annotations

import io

import msgspec
from rich.console import Console

from phoneproof.cli.check_table import print_checks, print_report
from phoneproof.core.check import Check, Verdict
from phoneproof.core.report import Report
from tests.unit.report_samples import accepted_report


def printed(report: Report) -> str:
    stream = io.StringIO()
    print_report(Console(file=stream, width=200), report)
    return stream.getvalue()


def gated(verdict: Verdict, *, accepted: bool) -> Report:
    check = Check(
        name="label_order", kind="margin", value=1.0, n=9, verdict=verdict, hint="turn it"
    )
    return msgspec.structs.replace(accepted_report(), gate=(check,), accepted=accepted)


def test_a_refused_capture_gate_says_what_to_do() -> None:
    assert "hub label_order: turn it" in printed(gated("fail", accepted=False))
    assert "hub label_order: turn it" in printed(gated("undecided", accepted=False))


def test_what_passed_or_was_accepted_says_nothing() -> None:
    assert "turn it" not in printed(gated("pass", accepted=True))
    assert "turn it" not in printed(gated("undecided", accepted=True))


def test_names_that_look_like_markup_are_printed_as_they_are() -> None:
    check = Check(
        name="top1", kind="margin", value=1.0, n=9, verdict="pass", slice="[/b]", unit="[red]"
    )
    stream = io.StringIO()
    title = "a[/b].tflite against [bold]" + "x" * 200
    print_checks(Console(file=stream, width=80), title, (check,))
    assert stream.getvalue().splitlines()[0] == title
    assert "top1 [/b]" in stream.getvalue()
    assert "1 [red]" in stream.getvalue()
