"""Boxes without an area, as clipping at the picture's edge leaves them."""

from __future__ import annotations

import numpy as np

from phoneproof.decode.results import Detections
from phoneproof.verify.distribution import compare_scores


def detections(*boxes: tuple[float, float, float, float]) -> Detections:
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.full(len(boxes), 0.9, np.float32),
        classes=np.zeros(len(boxes), np.int64),
    )


def lost(baseline: Detections, candidate: Detections) -> int:
    return compare_scores("i", "0" * 64, baseline, candidate, candidate, 0.25).lost


FLAT = (0.0, 20.0, 0.0, 60.0)


def test_a_box_without_an_area_is_not_lost_while_it_is_there() -> None:
    assert lost(detections(FLAT), detections(FLAT)) == 0
    assert lost(detections(FLAT), detections((0.0, 20.5, 0.0, 60.2))) == 0


def test_one_that_is_elsewhere_or_gone_is_lost() -> None:
    assert lost(detections(FLAT), detections((0.0, 30.0, 0.0, 60.0))) == 1
    assert lost(detections(FLAT), detections((0.0, 20.0, 40.0, 60.0))) == 1
    assert lost(detections(FLAT), detections()) == 1
