"""mAP: our resampling form against faster-coco-eval's own figures."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from phoneproof.decode.results import Detections
from phoneproof.verify import average_precision, detection_metrics, statistics
from phoneproof.verify.average_precision import (
    bootstrap_precision,
    mean_average_precision,
    mean_recall,
)
from phoneproof.verify.coco_matching import SMALL_AREAS, Truth, match_classes
from phoneproof.verify.detection_metrics import coco_figures, matched_figures
from phoneproof.verify.statistics import bootstrap_weights


def scene(
    random: np.random.Generator, classes: int, crowd: float = 0.1
) -> tuple[Truth, Detections]:
    """A crowded image: equal scores, duplicates, wrong classes, crowd regions, small objects."""
    count = int(random.integers(0, 12))
    corner = random.uniform(0, 300, (count, 2))
    side = random.choice([12, 25, 60, 150], (count, 1)) * random.uniform(0.7, 1.4, (count, 2))
    boxes = np.concatenate([corner, corner + side], 1)
    labels = random.integers(0, classes, count)
    source = np.repeat(np.arange(count), random.integers(0, 4, count))
    found = boxes[source] + random.normal(0, 0.06, (len(source), 4)) * np.tile(side[source], 2)
    named = np.where(
        random.random(len(source)) < 0.85, labels[source], random.integers(0, classes, len(source))
    )
    noise = int(random.integers(0, 150))
    start = random.uniform(0, 300, (noise, 2))
    wrong = np.concatenate([start, start + random.uniform(5, 80, (noise, 2))], 1)
    scores = np.round(random.random(len(source) + noise), 2)
    scores[len(source) :] *= 0.4
    order = np.argsort(-scores, kind="stable")
    return (
        Truth(boxes=boxes, labels=labels.astype(np.int64), crowd=random.random(count) < crowd),
        Detections(
            boxes=np.concatenate([found, wrong])[order].astype(np.float32),
            scores=scores[order].astype(np.float32),
            classes=np.concatenate([named, random.integers(0, classes, noise)])[order],
        ),
    )


def scenes(seed: int, n: int, classes: int) -> tuple[list[Truth], list[Detections]]:
    random = np.random.default_rng(seed)
    pairs = [scene(random, classes) for _ in range(n)]
    return [truth for truth, _ in pairs], [found for _, found in pairs]


@pytest.mark.parametrize(("seed", "classes"), [(0, 1), (1, 2), (2, 5), (3, 5), (4, 30)])
def test_equals_faster_coco_eval(seed: int, classes: int) -> None:
    truths, found = scenes(seed, 25, classes)
    figures = coco_figures(truths, found)
    matched = matched_figures(truths, found)
    assert 0.1 < figures.map50_95 < figures.map50 < 0.95
    assert matched.map50 == pytest.approx(figures.map50, abs=1e-9)
    assert matched.map50_95 == pytest.approx(figures.map50_95, abs=1e-9)
    assert matched.small_recall == pytest.approx(figures.small_recall, abs=1e-9)


def test_many_detections_are_counted_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    truths, found = scenes(5, 8, 3)
    before = coco_figures(truths, found)
    monkeypatch.setattr(detection_metrics, "MAX_ROWS", 10)
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    assert coco_figures(truths, found).map50_95 == pytest.approx(before.map50_95, abs=1e-9)


def test_images_beyond_the_units_are_resampled_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    truths, found = scenes(6, 240, 2)
    matches = match_classes(truths, found)
    alone = bootstrap_precision(matches, 240).mean(axis=0)
    monkeypatch.setattr(average_precision, "MAX_UNITS", 80)
    monkeypatch.setattr(statistics, "MAX_UNITS", 80)
    grouped = bootstrap_precision(matches, 240).mean(axis=0)
    assert grouped.mean() == pytest.approx(alone.mean(), abs=0.005)
    assert grouped.std() == pytest.approx(alone.std(), rel=0.25)


def test_weights_mean_repeated_images() -> None:
    # Distinct scores: with equal ones the order of repeated images would matter.
    truths, found = scenes(7, 12, 3)
    random = np.random.default_rng(8)
    found = [
        Detections(
            boxes=one.boxes,
            scores=np.sort(random.random(len(one.scores)))[::-1].astype(np.float32),
            classes=one.classes,
        )
        for one in found
    ]
    weights = bootstrap_weights(12, replicates=5)
    ours = mean_average_precision(match_classes(truths, found), weights)
    small = mean_recall(match_classes(truths, found, SMALL_AREAS), weights)
    for r in range(5):
        drawn = np.repeat(np.arange(12), weights[:, r].astype(int))
        figures = coco_figures([truths[i] for i in drawn], [found[i] for i in drawn])
        # A repeated detection reaches recall in one step instead of two, so the copies of one
        # image share a point of the curve; the difference is that between two orders of ties.
        assert ours[:, r].mean() == pytest.approx(figures.map50_95, abs=5e-3)
        assert small[r] == pytest.approx(figures.small_recall, abs=1e-9)


def test_perfect_detections_score_one_and_none_score_zero() -> None:
    truths = [t for t in scenes(9, 10, 3)[0] if len(t.labels)]
    truths = [Truth(boxes=t.boxes, labels=t.labels, crowd=np.zeros_like(t.crowd)) for t in truths]
    perfect = [
        Detections(
            boxes=t.boxes.astype(np.float32),
            scores=np.ones(len(t.labels), np.float32),
            classes=t.labels,
        )
        for t in truths
    ]
    nothing = [
        Detections(
            boxes=np.empty((0, 4), np.float32),
            scores=np.empty(0, np.float32),
            classes=np.empty(0, np.int64),
        )
        for _ in truths
    ]
    ones = np.ones((len(truths), 1))
    assert coco_figures(truths, perfect).map50_95 == pytest.approx(1.0)
    assert mean_average_precision(match_classes(truths, perfect), ones).mean() == pytest.approx(1)
    assert coco_figures(truths, nothing).map50_95 == 0.0
    assert mean_average_precision(match_classes(truths, nothing), ones).mean() == 0.0


def test_nothing_is_printed_and_no_file_is_written(
    capfd: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path_factory.mktemp("empty")
    monkeypatch.chdir(folder)
    coco_figures(*scenes(1, 5, 2))
    assert capfd.readouterr() == ("", "")
    assert list(folder.iterdir()) == []
