"""NMS against a plain reference that follows the definition word by word, ties included."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from phoneproof.core.contract import Nms
from phoneproof.decode.nms import best_first, nms

F = np.float32


def iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> np.float32:
    def area(box: NDArray[np.float32]) -> np.float32:
        return F(max(box[2] - box[0], F(0)) * max(box[3] - box[1], F(0)))

    width = max(min(a[2], b[2]) - max(a[0], b[0]), F(0))
    height = max(min(a[3], b[3]) - max(a[1], b[1]), F(0))
    inter = F(width * height)
    union = F(F(area(a) + area(b)) - inter)
    return F(inter / union) if union > 0 else F(0)


def reference(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], classes: NDArray[np.int64], s: Nms
) -> list[int]:
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[: s.pre_top_k]
    kept: list[int] = []
    for i in order:
        rivals = [k for k in kept if s.class_agnostic or classes[k] == classes[i]]
        if all(iou(boxes[k], boxes[i]) <= F(s.iou) for k in rivals):
            kept.append(i)
    return kept[: s.max_detections]


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    count = draw(st.integers(0, 40))
    # A coarse lattice of corners and scores: equal boxes, equal scores, exact IoU limits, empty
    # and inverted boxes all turn up.
    boxes = draw(st.lists(st.tuples(*[st.integers(0, 6)] * 4), min_size=count, max_size=count))
    scores = draw(st.lists(st.integers(1, 8), min_size=count, max_size=count))
    classes = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    return (
        np.array(boxes, F).reshape(-1, 4),
        np.array(scores, F) / F(8),
        np.array(classes, np.int64),
    )


@given(
    scene=scenes(),
    limit=st.sampled_from([0.1, 0.25, 1 / 3, 0.5, 0.7, 1.0]),
    agnostic=st.booleans(),
    top=st.sampled_from([1, 5, 17, 100]),
    most=st.sampled_from([1, 3, 100]),
)
def test_equals_the_reference(
    scene: tuple[Any, Any, Any], limit: float, agnostic: bool, top: int, most: int
) -> None:
    settings = Nms(iou=limit, class_agnostic=agnostic, pre_top_k=top, max_detections=most)
    assert nms(*scene, settings).tolist() == reference(*scene, settings)


def crowd(count: int, classes: int, spread: float) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, spread, (count, 2))
    boxes = np.hstack([corner, corner + rng.uniform(20, 60, (count, 2))]).astype(F)
    scores = rng.integers(1, 200, count).astype(F) / F(200)
    return boxes, scores, rng.integers(0, classes, count)


def test_equals_the_reference_in_a_crowd() -> None:
    scene = crowd(700, 5, 300)
    for settings in (Nms(iou=0.5), Nms(iou=0.3, class_agnostic=True), Nms(pre_top_k=200)):
        found = nms(*scene, settings).tolist()
        assert found == reference(*scene, settings)
        assert 10 < len(found) < 700


def test_settings_are_noticed() -> None:
    scene = crowd(700, 5, 300)
    usual = nms(*scene, Nms(iou=0.5)).tolist()
    assert usual != nms(*scene, Nms(iou=0.6)).tolist()
    assert usual != nms(*scene, Nms(iou=0.5, class_agnostic=True)).tolist()
    assert usual != nms(*scene, Nms(iou=0.5, pre_top_k=100)).tolist()


def boxes_of(*rows: tuple[float, float, float, float]) -> NDArray[np.float32]:
    return np.array(rows, F)


def test_an_overlap_of_exactly_the_limit_is_kept() -> None:
    boxes = boxes_of((0, 0, 2, 1), (0, 0, 1, 1))  # IoU .5; with +1 it would be 4/6
    scores, classes = np.array([0.9, 0.8], F), np.zeros(2, np.int64)
    assert nms(boxes, scores, classes, Nms(iou=0.5)).tolist() == [0, 1]
    assert nms(boxes, scores, classes, Nms(iou=0.49)).tolist() == [0]


def test_a_suppressed_box_suppresses_nothing() -> None:
    boxes = boxes_of((0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10))
    scores, classes = np.array([0.9, 0.8, 0.7], F), np.zeros(3, np.int64)
    assert nms(boxes, scores, classes, Nms(iou=0.4)).tolist() == [0, 2]


def test_classes_far_apart_in_number_keep_full_precision() -> None:
    """Shifting boxes by class * 7680 would round these corners to 1/16 pixel."""
    boxes = boxes_of((0, 0, 1.0, 1), (0, 0, 0.51, 1), (0, 0, 1.0, 1), (0, 0, 0.49, 1))
    scores = np.array([0.9, 0.8, 0.9, 0.8], F)
    classes = np.array([79, 79, 78, 78])
    assert nms(boxes, scores, classes, Nms(iou=0.5)).tolist() == [0, 2, 3]


def test_empty_boxes_never_overlap() -> None:
    boxes = boxes_of((1, 1, 1, 1), (1, 1, 1, 1), (5, 5, 3, 3))
    found = nms(boxes, np.ones(3, F), np.zeros(3, np.int64), Nms(iou=0.5))
    assert found.tolist() == [0, 1, 2]


def test_huge_boxes_give_no_warning() -> None:
    boxes = np.full((3, 4), 3e38, F) * np.array([-1, -1, 1, 1], F)
    assert nms(boxes, np.ones(3, F), np.zeros(3, np.int64), Nms(iou=0.5)).tolist()[0] == 0


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 30))
def test_best_first_is_by_score_then_index(values: list[int], limit: int) -> None:
    scores = np.array(values, F)
    expected = sorted(range(len(values)), key=lambda i: (-values[i], i))[:limit]
    assert best_first(scores, limit).tolist() == expected
