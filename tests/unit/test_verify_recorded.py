from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from phoneproof.core.dataset import ImageItem, ImageSet, LabelledBox
from phoneproof.decode.results import Classification, Detections
from phoneproof.runtimes.predict import Prediction
from phoneproof.verify.recorded import recorded_hazards, recorded_metrics
from tests.unit import report_samples as samples

CLASSIFY = samples.classify_contract(count=5)
DETECT = samples.detect_contract()
TOP1 = (("metrics/accuracy_top1", 0.9), ("val/loss", 0.2), ("last_epoch/lr/pg0", 1.0))


def image(index: int, label: int | None) -> ImageItem:
    return ImageItem(name=f"{index}.jpg", path=Path(f"{index}.jpg"), sha256=f"{index}", label=label)


def prediction(item: ImageItem, best: int) -> Prediction:
    probabilities = np.full(5, 0.05, np.float32)
    probabilities[best] = 0.8
    return Prediction(
        name=item.name,
        sha256=item.sha256,
        height=10,
        width=10,
        app=Classification(probabilities=probabilities),
        metric=None,
        roles=None,
    )


def classified(right: int, n: int) -> tuple[list[Prediction], ImageSet]:
    items = tuple(image(index, 1) for index in range(n))
    predictions = [prediction(item, 1 if i < right else 2) for i, item in enumerate(items)]
    return predictions, ImageSet(split="all", items=items)


def test_what_agrees_says_so() -> None:
    predictions, images = classified(92, 100)
    (metric,) = recorded_metrics(TOP1, predictions, images, CLASSIFY)
    assert (metric.name, metric.recorded, metric.measured, metric.n) == ("top1", 0.9, 0.92, 100)
    assert metric.agrees
    assert metric.bounds[0] < 0.9 < metric.bounds[1]
    assert metric.sentence.endswith("n = 100: agrees")
    assert recorded_hazards((metric,)) == ()


@pytest.mark.parametrize(("right", "severity"), [(84, "note"), (60, "warning")])
def test_what_does_not_agree_is_a_hazard(right: int, severity: str) -> None:
    """84 of 100 may be the same figure on as many other images; 60 of 100 is not."""
    predictions, images = classified(right, 100)
    metrics = recorded_metrics(TOP1, predictions, images, CLASSIFY)
    assert not metrics[0].agrees
    (hazard,) = recorded_hazards(metrics)
    assert (hazard.name, hazard.severity) == ("recorded_metric_differs", severity)
    assert "outside" in hazard.found


def test_percent_is_understood_where_the_trainer_counts_in_percent() -> None:
    predictions, images = classified(92, 100)
    (metric,) = recorded_metrics((("best_prec1", 91.7),), predictions, images, CLASSIFY)
    assert metric.recorded == pytest.approx(0.917)
    assert metric.agrees


def test_without_labels_or_a_known_key_there_is_nothing_to_compare() -> None:
    predictions, images = classified(5, 10)
    unlabelled = ImageSet(split="all", items=tuple(image(i, None) for i in range(10)))
    assert recorded_metrics(TOP1, predictions, unlabelled, CLASSIFY) == ()
    assert recorded_metrics((("loss", 1.0),), predictions, images, CLASSIFY) == ()
    assert recorded_metrics((("metrics/mAP50(B)", 0.5),), predictions, images, CLASSIFY) == ()


def boxes(shift: float) -> tuple[Sequence[Prediction], ImageSet]:
    label = LabelledBox(label=0, xyxy=(0.1, 0.1, 0.5, 0.5))
    items = tuple(
        ImageItem(name=f"{i}", path=Path("x"), sha256=f"{i}", boxes=(label,)) for i in range(12)
    )
    found = Detections(
        boxes=np.array([[10, 10, 50, 50]], np.float32) + np.float32(shift),
        scores=np.array([0.9], np.float32),
        classes=np.array([0], np.int64),
    )
    predictions = [
        Prediction(
            name=i.name, sha256=i.sha256, height=100, width=100, app=found, metric=found, roles=None
        )
        for i in items
    ]
    return predictions, ImageSet(split="all", items=items)


def test_detectors_are_compared_by_mean_average_precision() -> None:
    pytest.importorskip("faster_coco_eval")
    keys = (("metrics/mAP50(B)", 1.0), ("metrics/mAP50-95(B)", 0.4))
    both = recorded_metrics(keys, *boxes(0.0), DETECT)
    assert [(m.name, m.agrees) for m in both] == [("map50", True), ("map50_95", False)]
    assert [m.measured for m in both] == pytest.approx([1.0, 1.0])
    shifted = recorded_metrics(keys, *boxes(30.0), DETECT)
    assert [m.measured for m in shifted] == [0.0, 0.0]
