"""Core ML's suppression as its documentation has it, and what decode does with the same boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.contract import Nms
from phoneproof.decode.nms import nms
from phoneproof.formats.coreml.nms import Suppression
from phoneproof.runtimes.coreml_nms import suppressed

LABELS = ("cat", "dog")
PLAIN = Suppression(iou=0.5, confidence=0.3, per_class=True, labels=LABELS)
Floats = NDArray[np.float32]


def rows(*given: tuple[float, float, float, float, float, int]) -> tuple[Floats, Floats]:
    """(centre x, centre y, width, height, score, class) each -> confidence, coordinates."""
    coordinates = np.array([one[:4] for one in given], np.float32).reshape(-1, 4)
    confidence = np.zeros((len(given), len(LABELS)), np.float32)
    for row, one in enumerate(given):
        confidence[row, one[5]] = one[4]
    return confidence, coordinates


OVERLAPPING = rows(
    (0.50, 0.5, 0.2, 0.2, 0.6, 0),
    (0.52, 0.5, 0.2, 0.2, 0.9, 0),
    (0.51, 0.5, 0.2, 0.2, 0.7, 1),
    (0.90, 0.9, 0.1, 0.1, 0.3, 1),
    (0.10, 0.1, 0.1, 0.1, 0.2999, 1),
)


def test_the_best_of_each_class_is_kept_best_first() -> None:
    assert suppressed(*OVERLAPPING, PLAIN).tolist() == [1, 2, 3]


def test_classes_suppress_each_other_where_they_are_not_told_apart() -> None:
    assert suppressed(*OVERLAPPING, replace(PLAIN, per_class=False)).tolist() == [1, 3]


def test_at_an_iou_of_one_nothing_is_suppressed() -> None:
    same = rows((0.5, 0.5, 0.2, 0.2, 0.6, 0), (0.5, 0.5, 0.2, 0.2, 0.9, 0))
    assert suppressed(*same, replace(PLAIN, iou=1.0)).tolist() == [1, 0]


def test_what_was_suppressed_suppresses_nothing() -> None:
    chain = rows(
        (0.50, 0.5, 0.2, 0.2, 0.9, 0), (0.55, 0.5, 0.2, 0.2, 0.8, 0), (0.60, 0.5, 0.2, 0.2, 0.7, 0)
    )
    assert suppressed(*chain, PLAIN).tolist() == [0, 2]


def test_equal_confidences_keep_the_order_of_their_rows() -> None:
    equal = rows((0.2, 0.2, 0.1, 0.1, 0.5, 0), (0.7, 0.7, 0.1, 0.1, 0.5, 0))
    assert suppressed(*equal, PLAIN).tolist() == [0, 1]


@pytest.mark.parametrize("count", [0, 1])
def test_no_box_at_all_is_a_result(count: int) -> None:
    faint = rows(*[(0.5, 0.5, 0.1, 0.1, 0.1, 0)] * count)
    assert suppressed(*faint, PLAIN).tolist() == []


def test_boxes_without_area_suppress_nothing() -> None:
    points = rows((0.5, 0.5, 0.0, 0.0, 0.9, 0), (0.5, 0.5, 0.0, 0.0, 0.8, 0))
    assert suppressed(*points, PLAIN).tolist() == [0, 1]


@pytest.mark.parametrize("agnostic", [False, True])
def test_it_keeps_what_decode_keeps_and_another_limit_does_not(agnostic: bool) -> None:
    generator = np.random.default_rng(3)
    centres = generator.uniform(0.3, 0.7, (200, 2))
    sides = generator.uniform(0.1, 0.3, (200, 2))
    coordinates = np.concatenate([centres, sides], axis=1).astype(np.float32)
    classes = generator.integers(0, 2, 200)
    confidence = np.zeros((200, 2), np.float32)
    confidence[np.arange(200), classes] = generator.uniform(0.3, 1, 200)
    corners = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
    expected = nms(
        corners.astype(np.float32),
        confidence.max(axis=1),
        classes,
        Nms(iou=0.5, class_agnostic=agnostic),
    ).tolist()
    what = replace(PLAIN, per_class=not agnostic)
    assert suppressed(confidence, coordinates, what).tolist() == expected
    assert suppressed(confidence, coordinates, replace(what, iou=0.7)).tolist() != expected
    wrong = corners.astype(np.float32)
    assert suppressed(confidence, wrong, what).tolist() != expected
