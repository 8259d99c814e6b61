"""What a search says: reasons in the configuration, lines to paste, the check of a build."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from phoneproof.capture.infer import infer_contract
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.core.search import ContractSearch, Interval, Scored
from phoneproof.core.tolerances import CONTRACT_GAIN
from phoneproof.package.report_html import render_report
from phoneproof.package.wording import headline
from phoneproof.pipeline.capture_steps import BaselineStep, HubStep, InspectStep
from phoneproof.pipeline.config import load_config
from phoneproof.pipeline.contract_config import build_contract
from phoneproof.pipeline.search.contract_check import search_check
from phoneproof.pipeline.search.measured import holds_assumptions, measured_inference
from phoneproof.pipeline.search.proposal_lines import proposal_lines
from phoneproof.pipeline.search.search_space import SearchSpace
from phoneproof.pipeline.search.search_step import SearchStep
from tests.unit.inspections import classifier, keras
from tests.unit.report_samples import accepted_report, refused_at_gate
from tests.unit.test_pipeline_init import round_trip, written

IMAGES = ImageSet(split="all", items=())


def scored(value: float, what: str = "RGB, -1..1") -> Scored:
    score = Interval(value=value, lower=value - 0.03, upper=value + 0.03)
    return Scored(what=what, n=200, score=score, likelihood=-value)


def better(proposal: Contract | None, *, lower: float = 0.03) -> ContractSearch:
    return ContractSearch(
        verdict="better_found",
        reason="r",
        metric="top1",
        held_out=200,
        current=scored(0.55),
        proposed=scored(0.61, "BGR, 0..255"),
        proposal=proposal,
        differs=("BGR", "0..255"),
        gain=Interval(value=0.06, lower=lower, upper=0.1),
        likelihood_gain=Interval(value=0.2, lower=0.1, upper=0.3),
        confidence=0.9875,
        equal=(scored(0.6, "BGR, 0..255, opencv.area"),),
        behind=(scored(0.5, "RGB, 0..255"),),
    )


def other_contract(given: Contract) -> Contract:
    space = SearchSpace.of(given, classifier(1001), frozenset({1}))
    grid = [one for one in space.grid() if one.image.channels == "bgr" and one.order == 1]
    return space.contract_of(grid[-1])


def test_the_proposal_is_written_with_its_evidence(tmp_path: Path) -> None:
    inspection = classifier(1001)
    before = infer_contract(inspection, name="m")
    assert holds_assumptions(before)
    found = better(other_contract(before.contract))
    after = measured_inference(before, found)
    assert round_trip(tmp_path, inspection, after) == found.proposal
    text = written(tmp_path, inspection, after)
    assert "measured: top-1 0.610 [0.580, 0.640] of 200 held-out images" in text.replace(
        "\n# ", " "
    )
    assert after.reason("contract.labels").startswith("measured:")
    assert not holds_assumptions(after)


def test_a_confirmed_contract_keeps_its_values_and_gains_the_evidence() -> None:
    before = infer_contract(keras(1000), name="m")
    found = ContractSearch(
        verdict="confirmed", reason="r", metric="top1", held_out=200, current=scored(0.9)
    )
    after = measured_inference(before, found)
    assert (after.contract, after.preset) == (before.contract, before.preset)
    assert after.reason("contract.preset").startswith("measured: top-1 0.900")
    assert after.reason("contract.labels") == before.reason("contract.labels")


def test_an_inconclusive_search_changes_nothing() -> None:
    before = infer_contract(keras(1000), name="m")
    found = ContractSearch(verdict="inconclusive", reason="r", metric="top1", current=scored(0.1))
    assert measured_inference(before, found) is before


@pytest.mark.parametrize("preset", ["", "keras.caffe"])
def test_the_lines_to_paste_are_the_proposal(tmp_path: Path, preset: str) -> None:
    inspection = classifier(1001)
    given = infer_contract(inspection, name="m").contract
    proposal = other_contract(given)
    if preset:
        image = infer_contract(inspection, name="m", preset=preset).contract.image
        proposal = msgspec.structs.replace(proposal, inputs=(image,))
    found = msgspec.structs.replace(better(proposal), preset=preset)
    (tmp_path / "m.onnx").write_bytes(b"m")
    (tmp_path / "val").mkdir()
    lines = ['[model]\nsource = "m.onnx"\nname = "m"', '[data]\nevaluation = "val"']
    lines += proposal_lines(given, found)
    path = tmp_path / "phoneproof.toml"
    path.write_text("\n".join(lines))
    assert build_contract(load_config(path), inspection) == proposal


def test_nothing_is_pasted_without_a_proposal() -> None:
    given = infer_contract(classifier(1001), name="m").contract
    assert proposal_lines(given, better(None)) == []


def test_a_better_contract_fails_the_check_and_says_what_it_is() -> None:
    given = infer_contract(classifier(1001), name="m").contract
    check = search_check(better(given), given, IMAGES, gating=True)
    assert (check.name, check.verdict, check.gating, check.n) == (
        "contract_search",
        "fail",
        True,
        200,
    )
    assert "0.550" in check.hint
    assert "0.610" in check.hint
    assert "BGR, 0..255" in check.hint


def test_what_is_only_surer_or_equal_does_not_fail_the_check() -> None:
    given = infer_contract(classifier(1001), name="m").contract
    for lower in (-0.01, 0.01, CONTRACT_GAIN):
        surer = search_check(better(given, lower=lower), given, IMAGES, gating=True)
        assert surer.verdict == "pass"
        assert "BGR" in surer.hint
    same = ContractSearch(
        verdict="confirmed", reason="r", metric="top1", held_out=200, current=scored(0.9)
    )
    check = search_check(same, given, IMAGES, gating=True)
    assert (check.verdict, check.value, check.hint) == ("pass", 0.0, "")


def test_a_refusal_by_the_search_does_not_blame_the_capture() -> None:
    given = infer_contract(classifier(1001), name="m").contract
    report = refused_at_gate()
    assert "does not give the outputs of the source" in headline(report).sentence
    check = search_check(better(given), given, IMAGES, gating=True)
    refused = headline(msgspec.structs.replace(report, gate=(check,)))
    assert "explains the labels better under another contract" in refused.sentence
    assert "outputs of the source" not in refused.sentence
    labels = msgspec.structs.replace(check, name="label_order")
    order = headline(msgspec.structs.replace(report, gate=(labels,)))
    assert "not in the order of the classes" in order.sentence


def test_the_report_page_shows_what_was_found() -> None:
    given = infer_contract(classifier(1001), name="m").contract
    found = msgspec.structs.replace(
        better(given), recorded=(("metrics/<top1>", 0.6),), notes=("names are placeholders",)
    )
    page = render_report(msgspec.structs.replace(accepted_report(), search=found))
    assert "Other contracts, on the labelled images" in page
    for text in ("0.550", "0.610", "BGR, 0..255, opencv.area", "names are placeholders"):
        assert text in page
    assert "metrics/&lt;top1&gt;" in page
    assert "differs in: BGR, 0..255. It wins 0.060 of top-1" in page
    assert "with 98.75 % certainty at least 0.030" in page
    assert "\N{MINUS SIGN}0.550" in page
    confirmed = msgspec.structs.replace(found, verdict="confirmed", proposed=None)
    assert "differs in" not in render_report(
        msgspec.structs.replace(accepted_report(), search=confirmed)
    )
    assert "Other contracts" not in render_report(accepted_report())


def test_the_search_depends_on_every_library_that_runs_a_source() -> None:
    """A result of another TensorFlow must not be taken from the cache."""
    assert set(SearchStep.tools) >= {*BaselineStep.tools, *HubStep.tools, "scipy"}
    assert {"tensorflow-cpu", "tf-keras", "keras", "ai-edge-litert"} <= set(SearchStep.tools)
    assert {"tensorflow-cpu", "tf-keras", "keras", "ai-edge-litert"} <= set(InspectStep.tools)
