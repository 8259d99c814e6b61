"""One model against the labels: the figures that a comparison with itself gives."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from phoneproof.core.check import Check
from phoneproof.core.dataset import ImageSet
from phoneproof.runtimes.predict import Prediction
from phoneproof.verify.limits import FLOAT32_LIMITS, Limits
from phoneproof.verify.measure import hub_equivalence, measure, on_labels
from tests.unit.verify_samples import classified, classifier, contract, detected, detector

SHOWN = ("top1", "top5", "map50", "map50_95")


def _sample(task: str) -> tuple[ImageSet, Sequence[Prediction]]:
    if task == "classify":
        images, rows = classifier(60)
        return images, list(classified(rows))
    images, heads = detector(20)
    return images, list(detected(heads))


@pytest.mark.parametrize("task", ["classify", "detect"])
def test_is_what_a_comparison_with_itself_says_of_the_labels(task: str) -> None:
    images, predictions = _sample(task)
    meaning = contract(task)
    whole = measure(
        baseline=predictions,
        candidate=predictions,
        images=images,
        contract=meaning,
        precision="float32",
        limits=Limits(),
        runtime="r",
        device="cpu",
    ).checks
    order = hub_equivalence(
        predictions,
        predictions,
        images=images,
        contract=meaning,
        limits=FLOAT32_LIMITS,
        runtime="r",
    )
    expected: list[Check] = [check for check in whole if check.name in SHOWN]
    expected += [check for check in order if check.name == "label_order"]
    assert len(expected) == 3
    found = on_labels(predictions, images=images, contract=meaning, runtime="r", device="cpu")
    assert list(found) == expected
