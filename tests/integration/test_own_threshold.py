"""A file whose scores fell together ships with a threshold of its own, and everybody is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from phoneproof.core.binding import Binding
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.core.recipe import Ranges
from phoneproof.core.report import Report
from phoneproof.package.bundle import read_bundle
from phoneproof.pipeline.build import BuildOutcome, build
from phoneproof.pipeline.config import load_config
from phoneproof.pipeline.ladder.tries import Trunk
from phoneproof.pipeline.ladder.workbench import Workbench
from phoneproof.pipeline.run_pictures import PictureResult
from phoneproof.runtimes.embedded import read_embedded
from tests.integration.command_line import phoneproof
from tests.integration.int8_project import Project, square_project

HIGHEST_LOGIT = 0.1
"""What the spoilt ranges hold: a score of .525, just below the threshold of .55."""


def _clipped(ranges: Ranges) -> Ranges:
    """The logits (the one tensor from below -2 to above 2) cannot pass `HIGHEST_LOGIT`."""
    methods = tuple(
        msgspec.structs.replace(
            method,
            ranges=tuple(
                msgspec.structs.replace(one, high=HIGHEST_LOGIT)
                if one.low < -2 and 2 < one.high < 20
                else one
                for one in method.ranges
            ),
        )
        for method in ranges.methods
    )
    assert methods != ranges.methods
    return msgspec.structs.replace(ranges, methods=methods)


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Calibration that clips every clear score."""
    folder = tmp_path_factory.mktemp("clipped")
    calibrated = Workbench.calibrated

    def clipping(bench: Workbench, trunk: Trunk) -> Trunk:
        found = calibrated(bench, trunk)
        assert found.ranges is not None
        own = folder / f"clipped-{found.ranges.name}"
        own.mkdir(exist_ok=True)
        for path in found.ranges.iterdir():
            (own / path.name).write_bytes(path.read_bytes())
        ranges = parse((own / "ranges.json").read_bytes(), Ranges, what="ranges")
        (own / "ranges.json").write_bytes(pretty_bytes(_clipped(ranges)))
        return replace(found, ranges=own)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workbench, "calibrated", clipping)
        yield


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return square_project(tmp_path_factory.mktemp("faint"), joined=False, confidence=0.55)


@pytest.fixture(scope="module")
def built(project: Project, spoilt: None) -> BuildOutcome:
    """Built by someone to whom only the detections matter, not their scores."""
    file = project.configure(calibration=project.folder / "cal", checks="score_shift = 0.9")
    return build(load_config(file), workspace=project.folder / ".phoneproof", budget=100)


def test_the_rung_proposes_what_shows_the_same_detections(built: BuildOutcome) -> None:
    assert built.report.accepted
    (artifact,) = built.report.artifacts
    before, last = artifact.attempts[0], artifact.attempts[-1]
    assert {name for name, _ in before.failed} == {"lost_share", "box_agreement"}
    assert (last.rung, last.accepted) == ("threshold", True)
    assert last.what == f"{before.what}, own threshold {artifact.confidence:g}"
    assert artifact.confidence is not None
    assert 0.5 <= artifact.confidence <= 0.52
    lost = next(check for check in artifact.checks if check.name == "lost_share")
    assert lost.value == 0.0
    agreement = next(check for check in artifact.checks if check.name == "box_agreement")
    assert agreement.value is not None
    assert agreement.value > 0.9
    assert "this file's own threshold" in lost.method


def test_people_are_told(built: BuildOutcome) -> None:
    (hazard,) = [one for one in built.report.hazards if one.name == "a threshold of its own"]
    assert "what the original shows at 0.55 from 0.5" in hazard.found
    card = (built.folder / "MODEL_CARD.md").read_text()
    assert "decode_override" in card


def _inside(bundle: Path) -> tuple[Binding, Binding]:
    (artifact,) = read_bundle(bundle).manifest.artifacts
    return artifact.binding, read_embedded(bundle / artifact.path, "tflite").binding


def test_file_and_bundle_carry_it_and_verify_holds(built: BuildOutcome, project: Project) -> None:
    beside, inside = _inside(built.folder)
    assert beside.own_confidence == inside.own_confidence == built.report.artifacts[0].confidence
    usual = read_bundle(built.folder).contract.decode
    assert usual is not None
    assert usual.confidence == 0.55
    ran = phoneproof("verify", built.folder, "--images", "val", cwd=project.folder)
    assert ran.code == 0, ran.said


def test_an_app_that_runs_the_file_shows_them(built: BuildOutcome, project: Project) -> None:
    (artifact,) = read_bundle(built.folder).manifest.artifacts
    ran = phoneproof("run", built.folder / artifact.path, "val", "--json", cwd=project.folder)
    results = msgspec.json.decode(ran.out, type=list[PictureResult])
    scores = [one.score for each in results for one in each.result.detections]  # type: ignore[union-attr]
    assert len(scores) > 2 * len(results)
    assert max(scores) < 0.55


def test_the_report_can_be_read_again(built: BuildOutcome) -> None:
    again = parse((built.folder / "report.json").read_bytes(), Report, what="report")
    assert again.artifacts[0].confidence == built.report.artifacts[0].confidence
