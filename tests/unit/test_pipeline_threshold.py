"""Which images fit a threshold, which files may have one, and that it must hold elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

import numpy as np
import pytest

from phoneproof.core.artifact import Artifact, Lineage
from phoneproof.core.binding import Binding, InputBinding
from phoneproof.core.check import Check
from phoneproof.core.contract import Decode
from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import OptimizationFailed
from phoneproof.data.split import Splits
from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact
from phoneproof.pipeline.artifact_steps import MadeArtifact
from phoneproof.pipeline.judge_steps import Measured
from phoneproof.pipeline.ladder import threshold
from phoneproof.pipeline.ladder.threshold import LEAST_TO_FIT, OwnThreshold
from phoneproof.runtimes.predict import Prediction
from phoneproof.verify.limits import limits_for
from tests.unit import verify_samples as samples

FIT, SELECT = 60, 30
Verdict = Literal["pass", "fail", "undecided"]


@dataclass(frozen=True)
class Step:
    """A run that nothing makes."""

    keeps_outputs: bool = True


def part(split: Literal["calibration", "selection", "confirmation"], first: int, n: int) -> Any:
    items = tuple(samples.image_item(index) for index in range(first, first + n))
    return ImageSet(split=split, items=items)


SPLITS = Splits(
    calibration=part("calibration", 0, FIT),
    selection=part("selection", FIT, SELECT),
    confirmation=part("confirmation", 0, 0),
)


def made(own: float | None = None) -> MadeArtifact:
    image = InputBinding(tensor="image", shape=(1, 2, 2, 3), layout="NHWC")
    override = None if own is None else Decode(confidence=own)
    artifact = Artifact(
        id="tflite-static_wi8_ai8",
        format="tflite",
        requested="static_wi8_ai8",
        precision="static_wi8_ai8",
        path="artifacts/model.tflite",
        bytes=1,
        sha256="a",
        binding=Binding(
            contract="c", format="tflite", inputs=(image,), outputs=(), decode_override=override
        ),
        lineage=Lineage(parent="p", step="s"),
    )
    return MadeArtifact(artifact=artifact, path=Path("model.tflite"))


def margin(name: Any, value: float, verdict: Verdict) -> Check:
    return Check(name=name, kind="margin", value=value, limit=0.02, n=100, verdict=verdict)


def judged(*checks: Check, own: float | None = None, run: str = "candidate") -> JudgedArtifact:
    good = all(check.verdict == "pass" for check in checks)
    return JudgedArtifact(
        made=made(own),
        run=Path(run),
        measured=Measured(checks=checks, scores=()),
        accepted=good,
    )


def shifted(by: float, threshold_: float) -> list[Prediction]:
    """Predictions of all images whose scores moved by `by`, shown from a threshold on."""
    _, heads = samples.detector(FIT + SELECT)
    random = np.random.default_rng(3)
    predictions = []
    for index, (boxes, scores) in enumerate(heads):
        spread = scores * np.where(random.random(scores.shape) < 0.5, 1.0, 0.6)
        found = samples.detections(boxes, (spread + by).astype(np.float32), threshold_)
        predictions.append(samples.prediction(index, found, None, None))
    return predictions


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> OwnThreshold:
    """Runs by name: what the folders of a build would hold."""
    runs = {
        "baseline": shifted(0.0, samples.CONFIDENCE),
        "lower": shifted(-0.06, 0.12),
        "same": shifted(0.0, 0.12),
        "shown": shifted(-0.06, 0.19),
        "unmoved": shifted(0.0, 0.19),
    }

    def predictions_of(run: Path, images: ImageSet) -> list[Prediction]:
        wanted = {item.sha256 for item in images.items}
        return [one for one in runs[run.name] if one.sha256 in wanted]

    monkeypatch.setattr(threshold, "predictions_of", predictions_of)
    baseline = SimpleNamespace(result=lambda: SimpleNamespace(folder=Path("baseline")))
    everything = part("selection", 0, FIT + SELECT)
    chain = SimpleNamespace(
        baseline=baseline,
        workshop=None,
        request=SimpleNamespace(
            contract=samples.contract("detect"), images=everything, limits_for=limits_for
        ),
    )
    return OwnThreshold(chain=cast(ArtifactChain, chain), splits=SPLITS)


def run_gives(monkeypatch: pytest.MonkeyPatch, own: OwnThreshold, name: str) -> None:
    """The candidate's run on the calibration images is that of `name`."""
    cast(Any, own.chain).run_of = lambda *_: Step()
    found = SimpleNamespace(folder=Path(name))
    monkeypatch.setattr(threshold, "predicted", lambda *_: found)


def test_images_that_judge_do_not_fit(own: OwnThreshold) -> None:
    assert own.images == SPLITS.calibration
    few = Splits(
        calibration=SPLITS.selection, selection=SPLITS.selection, confirmation=SPLITS.confirmation
    )
    assert not OwnThreshold(chain=own.chain, splits=few).images.items


def test_lost_detections_must_be_all_that_refuses_the_file(own: OwnThreshold) -> None:
    lost, fine = margin("lost_share", 0.1, "fail"), margin("score_shift", 0.01, "pass")
    assert own.may_help(judged(lost, fine))
    assert not own.may_help(judged(lost, margin("score_shift", -0.1, "fail")))
    assert not own.may_help(judged(margin("lost_share", 0.0, "pass"), fine))
    assert not own.may_help(judged(lost))  # nothing else gates: nothing would be proved


def test_a_threshold_needs_images_to_fit_on(own: OwnThreshold) -> None:
    few = Splits(
        calibration=part("calibration", 0, LEAST_TO_FIT - 1),
        selection=SPLITS.selection,
        confirmation=SPLITS.confirmation,
    )
    lost, fine = margin("lost_share", 0.1, "fail"), margin("score_shift", 0.01, "pass")
    assert not OwnThreshold(chain=own.chain, splits=few).may_help(judged(lost, fine))


def test_the_fitted_decode_is_the_contracts_but_for_its_threshold(
    own: OwnThreshold, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_gives(monkeypatch, own, "lower")
    decode = own.fitted(made())
    usual = own.chain.request.contract.decode
    assert usual is not None
    assert decode.confidence == pytest.approx(0.19, abs=0.015)
    assert decode.nms == usual.nms
    assert own.chain.request.contract == samples.contract("detect")


def test_scores_that_did_not_move_get_no_threshold(
    own: OwnThreshold, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_gives(monkeypatch, own, "same")
    with pytest.raises(OptimizationFailed, match="no other threshold"):
        own.fitted(made())


def test_a_threshold_must_hold_on_other_images(own: OwnThreshold) -> None:
    own.require_gain(judged(own=0.19, run="shown"), SPLITS.selection)
    with pytest.raises(OptimizationFailed, match="does not hold on other images"):
        own.require_gain(judged(own=0.19, run="unmoved"), SPLITS.selection)
