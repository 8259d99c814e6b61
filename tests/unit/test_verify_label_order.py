"""Labels one place off are seen; a model that is merely bad is not accused of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.check import Check, DatasetRef
from phoneproof.decode.results import Detections
from phoneproof.verify.classification_metrics import ClassRow
from phoneproof.verify.coco_matching import Truth
from phoneproof.verify.detection_metrics import DetectionRow
from phoneproof.verify.evidence import Setting
from phoneproof.verify.label_order import label_order_check, named_images, named_objects

SETTING = Setting(dataset=DatasetRef(hash="a1" * 32, split="all"), runtime="r", device="cpu")
CLASSES = 10


def rows(pairs: Iterable[tuple[int, int | None]]) -> list[ClassRow]:
    """(what the model says, what the label says) -> rows."""
    return [
        ClassRow(
            name=f"{i}.png",
            sha256=f"{i:064x}",
            agree=True,
            margin=0.5,
            baseline_score=0.9,
            candidate_score=0.9,
            baseline_rank=None if label is None else int(first != label),
            candidate_rank=None if label is None else int(first != label),
            first=first,
            label=label,
            note="",
        )
        for i, (first, label) in enumerate(pairs)
    ]


def check(pairs: Iterable[tuple[int, int | None]], classes: int = CLASSES) -> Check:
    (found,) = label_order_check(SETTING, named_images(rows(pairs)), classes)
    assert found.name == "label_order"
    return found


def accurate(share: float, n: int, shift: int) -> list[tuple[int, int | None]]:
    """A model right on this share of the images, before its labels were moved."""
    random = np.random.default_rng(5)
    true = random.integers(0, CLASSES, n)
    said = np.where(random.random(n) < share, true, random.integers(0, CLASSES, n))
    return [(int(a), int((b + shift) % CLASSES)) for a, b in zip(said, true, strict=True)]


def test_right_labels_pass() -> None:
    assert check(accurate(0.9, 100, 0)).verdict == "pass"


def test_labels_one_place_off_fail_in_both_directions() -> None:
    for shift in (-1, 1):
        found = check(accurate(0.9, 100, shift))
        assert found.verdict == "fail"
        assert found.gating
        assert "background" in found.hint
        assert f"class k {-shift:+d}" in found.method
        assert found.worst


def test_twelve_images_are_enough_for_a_good_model() -> None:
    assert check(accurate(1.0, 12, 1)).verdict == "fail"
    assert check(accurate(1.0, 12, 0)).verdict == "pass"


def test_a_model_that_guesses_is_not_accused() -> None:
    for n in (5, 30, 300):
        assert check(accurate(0.0, n, 0)).verdict == "pass"


def test_one_class_taken_for_the_next_is_a_bad_model_and_no_shift() -> None:
    assert check([(4, 3)] * 50).verdict == "pass"
    assert check([(4, 3), (5, 4)] * 50).verdict == "pass"
    assert check([(4, 3), (5, 4), (6, 5)] * 50).verdict == "fail"


def test_two_classes_the_wrong_way_round() -> None:
    assert check([(0, 1), (1, 0)] * 10, classes=2).verdict == "fail"
    assert check([(0, 0), (1, 1)] * 10, classes=2).verdict == "pass"


def test_without_labels_nothing_is_said() -> None:
    assert label_order_check(SETTING, named_images(rows([(1, 1), (2, None)])), CLASSES) == ()
    assert label_order_check(SETTING, named_objects([]), CLASSES) == ()


def detected(labels: list[int], classes: list[int], shift: float = 0.0) -> DetectionRow:
    """Objects in a row, and a box on each of them `shift` pixels beside it."""
    corners = np.array([[40 * i, 0, 40 * i + 20, 20] for i in range(len(labels))], np.float64)
    return DetectionRow(
        name="a.png",
        sha256="a1" * 32,
        truth=Truth(boxes=corners, labels=np.array(labels), crowd=np.zeros(len(labels), np.bool_)),
        baseline=boxes_of(corners + shift, classes),
        candidate=boxes_of(corners, classes),
    )


def boxes_of(corners: NDArray[np.float64], classes: list[int]) -> Detections:
    return Detections(
        boxes=corners.astype(np.float32),
        scores=np.full(len(classes), 0.9, np.float32),
        classes=np.array(classes, np.int64),
    )


def test_objects_one_place_off_fail() -> None:
    labels = [0, 1, 2, 3, 4, 5, 6, 7, 8]
    for classes, verdict in ((labels, "pass"), ([one + 1 for one in labels], "fail")):
        objects = named_objects([detected(labels, classes, shift=2.0)] * 3)
        (found,) = label_order_check(SETTING, objects, CLASSES)
        assert (found.verdict, found.n) == (verdict, 27)


def test_boxes_beside_the_objects_say_nothing() -> None:
    assert named_objects([detected([1, 2], [2, 3], shift=15.0)]) == ()
    assert named_objects([detected([], [])]) == ()
