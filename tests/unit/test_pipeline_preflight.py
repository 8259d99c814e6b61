from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.core.errors import InvalidInput
from phoneproof.core.events import silence
from phoneproof.core.preflight import PictureReport, Preflight
from phoneproof.decode.results import Classification, Detections, RawOutputs, Results
from phoneproof.pipeline.preflight_findings import LISTED_PICTURES, compare_sets, set_hazards
from phoneproof.pipeline.preflight_images import load_production
from phoneproof.runtimes.predict import Prediction
from tests.unit import report_samples as samples


def images(first: int, count: int) -> ImageSet:
    items = tuple(
        ImageItem(name=f"{i}.jpg", path=Path(f"{i}.jpg"), sha256=f"{i:064}")
        for i in range(first, first + count)
    )
    return ImageSet(split="all", items=items)


def predictions(of: ImageSet, results: Results, metric: Results | None) -> Iterator[Prediction]:
    for item in of.items:
        yield Prediction(
            name=item.name,
            sha256=item.sha256,
            height=9,
            width=9,
            app=results,
            metric=metric,
            roles=None,
        )


def found(score: float, threshold: float = 0.25) -> tuple[Detections, Detections]:
    metric = Detections(
        boxes=np.zeros((1, 4), np.float32),
        scores=np.array([score], np.float32),
        classes=np.array([2], np.int64),
    )
    keep = metric.scores > threshold
    app = Detections(
        boxes=metric.boxes[keep], scores=metric.scores[keep], classes=metric.classes[keep]
    )
    return app, metric


def compared(
    contract: Contract, new: tuple[Results, Results | None], old: tuple[Results, Results | None]
) -> tuple[Preflight, tuple[PictureReport, ...]]:
    production, evaluation = images(1000, 30), images(0, 60)
    rng = np.random.default_rng(4)
    return compare_sets(
        contract=contract,
        images=production,
        facts=rng.random((30, 6)),
        predictions=predictions(production, *new),
        evaluation=evaluation,
        evaluation_facts=rng.random((60, 6)),
        evaluation_predictions=predictions(evaluation, *old),
    )


def test_a_detector_that_finds_nothing() -> None:
    contract = samples.detect_contract()
    preflight, pictures = compared(contract, found(0.1), found(0.9))
    assert (preflight.nothing_found, preflight.evaluation_nothing_found) == (30, 0)
    assert all(p.surprises[0].feature == "nothing_found" for p in pictures)
    assert pictures[0].confidence == pytest.approx(0.1)
    assert [r.feature for r in preflight.features if r.differs] == ["confidence"]
    assert [(c.label, c.evaluation, c.production) for c in preflight.classes] == [("car", 60, 0)]
    assert [hazard.name for hazard in preflight.hazards] == ["production_differs"]


def test_a_detector_that_finds_the_same() -> None:
    preflight, _ = compared(samples.detect_contract(), found(0.9), found(0.9))
    assert preflight.nothing_found == 0
    assert preflight.hazards == ()


def test_a_classifier_that_is_less_certain() -> None:
    contract = samples.classify_contract(4)
    unsure = Classification(probabilities=np.array([0.1, 0.3, 0.4, 0.2], np.float32))
    sure = Classification(probabilities=np.array([0.0, 0.9, 0.1, 0.0], np.float32))
    preflight, pictures = compared(contract, (unsure, None), (sure, None))
    assert preflight.nothing_found is None
    assert preflight.features[-1].feature == "confidence"
    assert preflight.features[-1].below == 30
    assert pictures[0].surprises[-1].feature == "confidence"
    assert {(c.label, c.evaluation, c.production) for c in preflight.classes} == {
        ("species 1", 60, 0),
        ("species 2", 0, 30),
    }


def test_a_model_without_confidence_is_still_looked_at() -> None:
    raw = RawOutputs(tensors=(("out", np.zeros(3, np.float32)),))
    preflight, pictures = compared(samples.classify_contract(4), (raw, None), (raw, None))
    assert len(preflight.features) == 6
    assert preflight.classes == ()
    assert len(pictures) == 30
    assert len(preflight.pictures) <= LISTED_PICTURES


def test_pictures_in_both_sets_are_told() -> None:
    (same,) = set_hazards(images(0, 5), images(0, 5))
    assert (same.name, same.severity) == ("production_is_evaluation", "warning")
    assert same.found.startswith("all of the 5")
    (some,) = set_hazards(images(0, 5), images(4, 9))
    assert (some.severity, some.found[:13]) == ("note", "1 of the 5 pr")
    assert set_hazards(images(0, 5), images(5, 5)) == ()


def test_production_images_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"\[data\] production: no images in"):
        load_production(tmp_path, silence)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(InvalidInput, match=r"\[data\] production") as caught:
        load_production(tmp_path, silence)
    assert "broken.jpg" in caught.value.found
    Image.new("RGB", (4, 4)).save(tmp_path / "good.png")
    loaded = load_production(tmp_path, silence)
    assert loaded is not None
    assert [item.name for item in loaded.items] == ["good.png"]
    assert [name for name, _ in loaded.skipped] == ["broken.jpg"]
    assert load_production(None, silence) is None
