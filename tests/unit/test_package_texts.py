from __future__ import annotations

import re
from xml.etree import ElementTree

import msgspec
import pytest

from phoneproof.core.contract import Contract, Crop, Decode, ImageInput, Resize
from phoneproof.core.report import Report
from phoneproof.package.input_words import input_words, results_words
from phoneproof.package.junit import junit_xml
from phoneproof.package.markdown import plain, table
from phoneproof.package.model_card import model_card
from phoneproof.package.summary import summary_markdown
from phoneproof.package.wording import (
    breaking_artifact,
    duration,
    headline,
    number,
    score_words,
    size,
)
from tests.unit import report_samples as samples


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),  # noqa: RUF001
        (0.0, "0"),
        (1.0, "1"),
        (0.8974, "0.8974"),
        (0.60523, "0.6052"),
        (-0.0123, "−0.0123"),  # noqa: RUF001
        (1e-7, "1e-07"),
        (98.312, "98.31"),
        (1234.56, "1234.6"),
        (-3.0, "−3"),  # noqa: RUF001
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


def test_sizes_and_durations() -> None:
    assert [size(n) for n in (17, 1500, 12_816_000, 3_120_000_000)] == [
        "17 bytes",
        "1.5 kB",
        "12.8 MB",
        "3.12 GB",
    ]
    assert [duration(s) for s in (0.84, 12.41, 200.4)] == ["0.84 s", "12.4 s", "3 min 20 s"]


def test_headlines() -> None:
    assert headline(samples.accepted_report()).sentence == (
        "Accepted: all 3 artifacts are the model that was trained, measured on 64 images."
    )
    report = samples.accepted_report()
    two = msgspec.structs.replace(report, artifacts=report.artifacts[:2])
    one = msgspec.structs.replace(report, artifacts=report.artifacts[:1])
    assert headline(two).sentence.startswith("Accepted: both artifacts are the model")
    assert headline(one).sentence.startswith("Accepted: onnx-float32 is the model")
    assert headline(samples.refused_at_gate()).sentence.startswith("Refused at capture")


def refused_undecided() -> Report:
    report = samples.undecided_report()
    artifacts = tuple(
        msgspec.structs.replace(a, accepted=a.verdict == "pass") for a in report.artifacts
    )
    return msgspec.structs.replace(report, accepted=False, undecided="fail", artifacts=artifacts)


def test_an_undecided_refusal_does_not_claim_a_fault() -> None:
    head = headline(refused_undecided())
    assert "could not be shown to be the model" in head.sentence
    assert "541 images would decide" in head.support[0]


def test_the_same_open_figure_is_said_once_for_all_its_artifacts() -> None:
    report = samples.undecided_report()
    checks = report.artifacts[2].checks
    artifacts = tuple(
        msgspec.structs.replace(a, checks=checks, verdict="undecided") for a in report.artifacts
    )
    head = headline(msgspec.structs.replace(report, artifacts=artifacts))
    assert len(head.support) == 1
    assert head.support[0].startswith("onnx-float32, tflite-float32 and tflite-float16: map50")


def test_the_step_nearest_the_source_is_blamed() -> None:
    report = samples.failing_report()
    broken = breaking_artifact(report)
    assert broken is not None
    assert broken.id == "tflite-float32"
    reverse = msgspec.structs.replace(report, artifacts=tuple(reversed(report.artifacts)))
    assert breaking_artifact(reverse) == broken
    assert breaking_artifact(samples.accepted_report()) is None


def test_score_words_count_who_crossed_the_threshold() -> None:
    words = score_words(((0.3, 0.2), (0.24, 0.26), (0.9, 0.9)), 0.25)
    assert "1 fell to its threshold of 0.25 or below; 1 rose above it" in words


def parsed(report: Report) -> ElementTree.Element:
    return ElementTree.fromstring(junit_xml(report))


def counts(root: ElementTree.Element) -> tuple[int, int, int]:
    return (
        len(root.findall(".//testcase")),
        len(root.findall(".//failure")),
        len(root.findall(".//skipped")),
    )


@pytest.mark.parametrize(
    ("report", "failures"),
    [
        (samples.accepted_report(), 0),
        (samples.failing_report(), 4),
        (samples.undecided_report(), 0),
        (refused_undecided(), 1),
        (samples.refused_at_gate(), 1),
    ],
)
def test_junit_counts_refused_checks_as_failures(report: Report, failures: int) -> None:
    root = parsed(report)
    checks = len(report.gate) + sum(len(a.checks) for a in report.artifacts)
    cases, failed, skipped = counts(root)
    assert (cases, failed) == (checks, failures)
    assert (int(root.get("tests", "")), int(root.get("failures", ""))) == (checks, failures)
    assert int(root.get("skipped", "")) == skipped
    for suite in root:
        assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
        assert int(suite.get("failures", "")) == len(suite.findall("testcase/failure"))


def test_junit_failures_carry_figures_hint_and_worst_image() -> None:
    failure = parsed(samples.failing_report()).find(".//failure")
    assert failure is not None
    assert "limit at most 0.64" in (failure.get("message") or "")
    assert "street 12.jpg" in (failure.text or "")
    assert "look at the box branch" in (failure.text or "")


def test_junit_survives_control_characters_and_markup() -> None:
    report = samples.failing_report()
    hint = f"{samples.HOSTILE}\x00\x1b]]>\ud800"
    check = msgspec.structs.replace(report.artifacts[1].checks[0], hint=hint)
    artifact = msgspec.structs.replace(report.artifacts[1], checks=(check,))
    failure = parsed(msgspec.structs.replace(report, artifacts=(artifact,))).find(".//failure")
    assert failure is not None
    assert samples.HOSTILE in (failure.text or "")


def test_the_summary_is_short_and_names_what_was_refused() -> None:
    text = summary_markdown(samples.failing_report())
    assert text.count("❌ fail") == 2 + 4
    assert "map50_95_drop" in text
    assert len(text.splitlines()) < 30
    accepted = summary_markdown(samples.accepted_report())
    assert "❌" not in accepted
    assert accepted.count("✅ pass") == 3
    assert "❔ undecided, accepted" in summary_markdown(samples.undecided_report())
    assert "hub_equivalence" in summary_markdown(samples.refused_at_gate())


def test_markdown_shows_hostile_text_as_it_is() -> None:
    assert plain("a|b\n<script>[x](y)") == r"a\|b \<script\>\[x\](y)"
    assert plain("map50_95_drop and _this_") == r"map50_95_drop and \_this\_"
    rows = table(("a", "b"), [("x|y", "z")]).splitlines()
    assert rows == ["| a | b |", "|---|---|", r"| x\|y | z |"]
    report = samples.accepted_report(samples.detect_contract(labels=(samples.HOSTILE,)))
    unescaped = re.compile(r"(?<!\\)<")
    assert not unescaped.search(model_card(report))
    assert unescaped.search("a <script>")
    named = msgspec.structs.replace(report, name=samples.HOSTILE)
    assert not unescaped.search(summary_markdown(named))


def test_the_model_card_says_what_is_known_and_what_is_not() -> None:
    card = model_card(samples.undecided_report())
    for section in ("What it is", "What it takes", "Labels", "What was measured", "Files",
                    "Licence", "Limits, and what was not measured"):  # fmt: skip
        assert f"## {section}" in card
    assert "AGPL-3.0" in card
    assert "64 images do not decide it; about 541 would." in card
    assert "d4" * 32 in card
    assert "| −0.011 to 0.016 |" in card  # noqa: RUF001
    assert "carry no labels" not in card
    assert "carry no labels" in model_card(samples.unlabelled_report())
    assert "hub_equivalence" in model_card(samples.refused_at_gate())


def test_a_thousand_labels_do_not_fill_the_card() -> None:
    card = model_card(samples.accepted_report(samples.classify_contract()))
    assert "and 900 more in `contract.json`" in card
    assert "0 (unused), 1 species 1" in card


def contract_with(**changes: object) -> Contract:
    base = samples.detect_contract()
    fields = msgspec.to_builtins(base.image) | msgspec.to_builtins(changes)
    return msgspec.structs.replace(base, inputs=(msgspec.convert(fields, ImageInput),))


def test_the_input_in_words() -> None:
    words = input_words(samples.detect_contract())
    assert words[-1] == "Each value v becomes v / 255."
    assert any("to fit inside 64" in line and "opencv.linear" in line for line in words)
    gray = contract_with(
        channels="gray",
        gray="opencv",
        mean=(0.1307,),
        std=(0.3081,),
        orientation="ignore",
        color_profile="srgb",
        alpha=(1, 2, 3),
        geometry=(Crop(fraction=0.875), Resize(to="stretch", size=(28, 28), upscale=False)),
    )
    text = " ".join(input_words(gray))
    for part in ("mean 0.1307 and std 0.3081", "formula of opencv", "Keep 0.875 of each side",
                 "without keeping its shape", "left alone", "as it is stored", "sRGB",
                 "[1, 2, 3]"):  # fmt: skip
        assert part in text
    unit = contract_with(scale=1.0, channels="bgr", geometry=(Crop(aspect=1.0),))
    assert input_words(unit)[-1] == "Each value v becomes v."
    assert "blue, green, red" in " ".join(input_words(unit))


def test_the_results_in_words() -> None:
    detect = samples.detect_contract()
    assert "a score above 0.25" in results_words(detect)
    final = msgspec.structs.replace(detect, decode=Decode(confidence=0.5))
    assert "the model's boxes are final" in results_words(final)
    assert "999 labels" in results_words(samples.classify_contract())
    raw = msgspec.structs.replace(detect, task="raw")
    assert "Raw outputs" in results_words(raw)
