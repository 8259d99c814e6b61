from __future__ import annotations

import io

from rich.console import Console

from phoneproof.cli.attempt_table import print_advice, print_attempts
from phoneproof.cli.check_table import print_report
from phoneproof.core.report import ArtifactReport
from tests.unit import optimization_samples as samples
from tests.unit import report_samples


def printed(artifact: ArtifactReport, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    print_attempts(console, artifact, samples.optimized_report())
    return console.file.getvalue() if isinstance(console.file, io.StringIO) else ""


def test_every_try_is_a_row_with_its_losses() -> None:
    text = " ".join(printed(samples.int8_artifact(), width=200).split())
    assert "int8, min/max ranges refused 3.28 MB 0 % map50_95_drop 0.096 (≤ 0.01)" in text
    assert "Found after 5 tries" in text
    assert "came closest" not in text


def test_a_refusal_says_how_close_it_came() -> None:
    text = printed(samples.int8_artifact(accepted=False), width=80)
    assert "came closest: map50_95_drop 0.012, at most 0.01." in text
    assert "none was accepted" in text


def test_names_with_markup_are_shown_as_they_are() -> None:
    report = samples.hostile_report()
    text = printed(report.artifacts[-1], width=200)
    assert "<script>" in text


def test_no_tries_no_table() -> None:
    assert printed(report_samples.artifact_report("float32", "hub", ())) == ""


def test_the_report_ends_with_what_to_ship() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=200, color_system=None)
    print_report(console, samples.optimized_report())
    assert "For Android: tflite-static_wi8_ai8, the smallest of 4 accepted files" in (
        stream.getvalue()
    )
    stream.truncate(0)
    print_advice(console, samples.ladder_refused_report())
    assert "For" not in stream.getvalue()
