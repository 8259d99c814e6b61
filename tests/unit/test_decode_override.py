"""A binding with a threshold of its own: everything that decodes takes it, the contract stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.binding import Binding
from phoneproof.core.check import Check
from phoneproof.core.contract import Contract, Decode
from phoneproof.core.report import Report
from phoneproof.decode.results import Detections
from phoneproof.formats.metadata import Embedded, embedding, parse_embedding
from phoneproof.package.golden import make_golden
from phoneproof.package.golden_check import check_golden
from phoneproof.package.model_card import model_card
from phoneproof.package.report_html import render_report
from phoneproof.runtimes.base import Tensor
from phoneproof.runtimes.predict import Predictor
from phoneproof.verify.contract_match import contract_match_check
from phoneproof.verify.limits import limits_for
from phoneproof.verify.measure import measure
from tests.unit import report_samples as report_samples
from tests.unit import verify_samples as samples
from tests.unit.test_package_golden import (
    SIZE,
    FakeSession,
    artifact_of,
    detect,
    detect_binding,
    named,
    opener,
)

LIMITS = limits_for("static_wi8_ai8")


def contract() -> Contract:
    return report_samples.detect_contract(size=SIZE)


def bound(confidence: float | None) -> Binding:
    """The binding of a detector, with a threshold of its own where one is named."""
    usual = contract().decode
    assert usual is not None
    own = None if confidence is None else msgspec.structs.replace(usual, confidence=confidence)
    return msgspec.structs.replace(detect_binding(contract()), decode_override=own)


def scored(*values: float) -> Callable[[NDArray[np.float32]], dict[str, Tensor]]:
    def compute(tensor: NDArray[np.float32]) -> dict[str, Tensor]:
        scores = np.zeros((1, 4, 4), np.float32)
        scores[0, :, 0] = values
        return {**detect(tensor), "scores": scores}

    return compute


def shown(confidence: float | None) -> list[float]:
    binding = bound(confidence)
    predictor = Predictor(
        FakeSession(binding=binding, compute=scored(0.9, 0.3, 0.22, 0.1)), contract(), binding
    )
    results, _ = predictor.predict_rgb(np.zeros((SIZE, SIZE, 3), np.uint8))
    assert isinstance(results, Detections)
    return [round(float(score), 2) for score in results.scores]


def test_the_app_shows_what_passes_the_files_own_threshold() -> None:
    before = contract().sha256
    assert shown(None) == [0.9, 0.3]
    assert shown(0.2) == [0.9, 0.3, 0.22]
    assert shown(0.35) == [0.9]
    assert contract().sha256 == before


def test_the_threshold_travels_inside_the_file() -> None:
    binding = msgspec.structs.replace(bound(0.2), artifact=None)
    carried = parse_embedding(embedding(Embedded(contract=contract(), binding=binding)), "file")
    assert carried.binding.own_confidence == 0.2
    assert carried.contract == contract()


def test_a_file_that_lost_its_threshold_does_not_match_what_lies_beside_it() -> None:
    def match(inside: Binding) -> Check:
        return contract_match_check(
            contract=contract(), binding=bound(0.2), inside=(contract(), inside), artifact="a"
        )

    assert match(bound(0.2)).verdict == "pass"
    assert match(bound(None)).verdict == "fail"
    assert "decode_override" in match(bound(None)).hint


def golden_again(folder: Path, confidence: float, first: float, later: float) -> Check:
    """Recorded with one box of score `first`, run again when it scores `later`."""
    artifact = artifact_of(bound(confidence))
    pairs = [(artifact, folder)]
    make_golden(folder / "golden", contract(), pairs, opener(scored(0.9, first, 0, 0)))
    checks = check_golden(folder / "golden", contract(), pairs, opener(scored(0.9, later, 0, 0)))
    return named(checks, "golden_results")


def test_golden_results_are_judged_at_the_files_own_threshold(tmp_path: Path) -> None:
    again = golden_again(tmp_path / "same", 0.2, 0.22, 0.22)
    assert (again.verdict, again.ties) == ("pass", 0)
    # Below the contract's threshold, but this file shows it: it must come again.
    assert golden_again(tmp_path / "gone", 0.2, 0.22, 0.1).verdict == "fail"
    # Far above the contract's threshold, but beside this file's own: a tie.
    tie = golden_again(tmp_path / "tie", 0.35, 0.351, 0.349)
    assert tie.verdict == "pass"
    assert tie.ties > 0


def measured(shown_at: float | None) -> Check:
    """Every score fell by .15; the candidate's app shows from `shown_at` on."""
    images, heads = samples.detector(40)
    before = samples.detected(heads)
    threshold = samples.CONFIDENCE if shown_at is None else shown_at
    after = [
        samples.prediction(
            index, samples.detections(b, s - 0.15, threshold),
            samples.detections(b, s - 0.15, 0.001), None,
        )
        for index, (b, s) in enumerate(heads)
    ]  # fmt: skip
    found = measure(
        baseline=before,
        candidate=after,
        images=images,
        contract=samples.contract("detect"),
        precision="static_wi8_ai8",
        limits=LIMITS,
        runtime="r",
        device="cpu",
        shown_at=shown_at,
    )
    (score,) = (check for check in found.checks if check.name == "score_shift")
    assert score.value == pytest.approx(-0.15, abs=1e-3)  # raw scores: no threshold changes them
    return next(check for check in found.checks if check.name == "lost_share")


def test_lost_share_is_judged_by_the_files_own_threshold() -> None:
    at_the_contracts, at_its_own = measured(None), measured(0.1)
    assert at_the_contracts.verdict == "fail"
    assert at_its_own.verdict == "pass"
    assert at_its_own.n == at_the_contracts.n
    assert "0.1, this file's own threshold" in at_its_own.method
    assert "own threshold" not in at_the_contracts.method


def reported(confidence: float | None) -> Report:
    report = report_samples.accepted_report()
    first, *rest = report.artifacts
    own = msgspec.structs.replace(first, confidence=confidence)
    capture = msgspec.structs.replace(
        report.capture,
        contract=msgspec.structs.replace(contract(), decode=Decode(confidence=0.25)),
    )
    return msgspec.structs.replace(report, artifacts=(own, *rest), capture=capture)


def test_card_and_page_say_that_a_file_has_its_own_threshold() -> None:
    words = "from a score of 0.21 on what the original shows from 0.25 on"
    assert words in model_card(reported(0.21))
    assert words in render_report(reported(0.21))
    assert "decode_override" not in model_card(reported(None))
    assert "decode_override" not in render_report(reported(None))
