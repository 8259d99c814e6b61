"""Checks of whole models: equal models pass, and each planted fault is seen by a named check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from phoneproof.core.binding import Precision
from phoneproof.core.check import Check
from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import VerificationFailed
from phoneproof.decode.results import Detections
from phoneproof.runtimes.predict import Prediction
from phoneproof.verify.limits import Limits, limits_for
from phoneproof.verify.measure import hub_equivalence, measure
from phoneproof.verify.verdicts import accepted
from tests.unit.verify_samples import (
    CONFIDENCE,
    Float,
    Heads,
    Probabilities,
    classified,
    classifier,
    contract,
    detected,
    detector,
)


def check_all(
    task: str,
    images: ImageSet,
    baseline: Sequence[Prediction],
    candidate: Sequence[Prediction],
    precision: Precision = "float32",
    limits: Limits | None = None,
) -> dict[str, Check]:
    checks = measure(
        baseline=baseline,
        candidate=candidate,
        images=images,
        contract=contract(task),
        precision=precision,
        limits=limits or limits_for(precision),
        runtime="fake",
        device="cpu",
    ).checks
    for check in checks:
        assert msgspec.json.decode(msgspec.json.encode(check), type=Check) == check
        assert check.dataset == images.ref
    return {f"{c.name}/{c.slice}" if c.slice else c.name: c for c in checks}


def failing(checks: dict[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if check.gating and check.verdict == "fail"}


# Equal models


@pytest.mark.parametrize("precision", ["float32", "float16", "static_wi8_ai8"])
def test_an_equal_classifier_passes_everything(precision: Precision) -> None:
    images, rows = classifier(300)
    checks = check_all("classify", images, classified(rows), classified(rows), precision)
    assert set(checks) == {
        "max_abs/probabilities",
        "snr_db/probabilities",
        "top1_agreement",
        "top1",
        "top5",
        "top1_drop",
        "score_shift",
    }
    assert {check.verdict for check in checks.values()} == {"pass"}
    for name in ("max_abs/probabilities", "top1_drop", "score_shift"):
        assert checks[name].value == 0
    assert checks["top1_agreement"].value == 1
    assert accepted(tuple(checks.values()), limits_for(precision))


@pytest.mark.parametrize("precision", ["float32", "float16", "static_wi8_ai8"])
def test_an_equal_detector_passes_everything(precision: Precision) -> None:
    images, heads = detector(40)
    checks = check_all("detect", images, detected(heads), detected(heads), precision)
    assert set(checks) == {
        "max_abs/boxes",
        "snr_db/boxes",
        "max_abs/scores",
        "snr_db/scores",
        "box_agreement",
        "max_abs/shown_scores",
        "map50",
        "map50_95",
        "map50_95_drop",
        "small_recall_drop/small",
        "score_shift",
        "lost_share",
    }
    assert {check.verdict for check in checks.values()} == {"pass"}
    for name in ("map50_95_drop", "small_recall_drop/small", "score_shift", "max_abs/scores"):
        assert checks[name].value == 0
    assert checks["box_agreement"].value == 1
    assert accepted(tuple(checks.values()), limits_for(precision))


def test_without_labels_the_metrics_are_left_out() -> None:
    images, rows = classifier(10, labelled=False)
    classes = check_all("classify", images, classified(rows), classified(rows))
    assert not {"top1", "top5", "top1_drop"} & set(classes)
    images, heads = detector(10, labelled=False)
    boxes = check_all("detect", images, detected(heads), detected(heads))
    assert not {"map50", "map50_95", "map50_95_drop"} & set(boxes)
    assert {"box_agreement", "score_shift", "lost_share"} <= set(boxes)


def test_few_equal_images_are_undecided_and_accepted() -> None:
    images, rows = classifier(20)
    checks = check_all("classify", images, classified(rows), classified(rows))
    assert checks["top1_drop"].verdict == "undecided"
    assert checks["top1_drop"].n_needed == 268
    everything = tuple(checks.values())
    assert accepted(everything, limits_for("float32"))
    strict = msgspec.structs.replace(limits_for("float32"), undecided="fail")
    assert not accepted(everything, strict)


def test_rounding_noise_passes() -> None:
    random = np.random.default_rng(0)

    def noise(_: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
        moved = boxes + random.normal(0, 1e-3, boxes.shape)
        return moved.astype(np.float32), (scores * (1 + 1e-5)).astype(np.float32)

    images, heads = detector(40)
    checks = check_all("detect", images, detected(heads), detected(heads, noise))
    assert failing(checks) == set()
    assert 0 < (checks["max_abs/boxes"].value or 0) < 1e-4
    assert 60 < (checks["snr_db/boxes"].value or 0) < 150


# Classification controls


def reversed_classes(_: int, row: Float) -> Float:
    return row[::-1].copy()


def shifted_by_one(_: int, row: Float) -> Float:
    return np.roll(row, 1)


def less_sure(_: int, row: Float) -> Float:
    return (row * 0.8 + 0.05).astype(np.float32)


def one_image_lost(index: int, row: Float) -> Float:
    return np.roll(row, 1) if index == 7 else row


def not_a_number(index: int, row: Float) -> Float:
    return np.full_like(row, np.nan) if index == 3 else row


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (reversed_classes, {"top1_agreement", "top1_drop", "max_abs/probabilities"}),
        (shifted_by_one, {"top1_agreement", "top1_drop", "snr_db/probabilities"}),
        (less_sure, {"score_shift", "max_abs/probabilities"}),
        (one_image_lost, {"top1_agreement", "max_abs/probabilities"}),
        (not_a_number, {"top1_agreement", "max_abs/probabilities", "score_shift"}),
    ],
)
def test_faults_of_a_classifier_are_seen(change: Probabilities, seen: set[str]) -> None:
    images, rows = classifier(300)
    checks = check_all("classify", images, classified(rows), classified(rows, change))
    assert seen <= failing(checks)
    assert not accepted(tuple(checks.values()), limits_for("float32"))


def test_the_lost_image_is_named_first() -> None:
    images, rows = classifier(300)
    checks = check_all("classify", images, classified(rows), classified(rows, one_image_lost))
    for name in ("top1_agreement", "max_abs/probabilities", "snr_db/probabilities"):
        assert checks[name].worst[0].image == "0007.jpg"
        assert checks[name].worst[0].sha256 == images.items[7].sha256
    assert checks["top1_agreement"].value == pytest.approx(299 / 300)
    assert "->" in checks["top1_agreement"].worst[0].note


def test_a_quantised_classifier_is_judged_by_its_loss() -> None:
    def loses_four_percent(index: int, row: Float) -> Float:
        return np.roll(row, 1) if index % 25 == 0 else row

    images, rows = classifier(1000)
    before, after = classified(rows), classified(rows, loses_four_percent)
    checks = check_all("classify", images, before, after, "static_wi8_ai8")
    assert failing(checks) >= {"top1_drop"}
    assert not checks["top1_agreement"].gating
    loose = msgspec.structs.replace(limits_for("static_wi8_ai8"), top1_drop=0.06, score_shift=0.06)
    assert failing(check_all("classify", images, before, after, "mixed", loose)) == set()


def test_ties_of_the_baseline_are_counted_and_not_failed() -> None:
    images, rows = classifier(20)
    rows[4] = np.array([0.4001, 0.4, 0.1, 0.0999], np.float32)

    def flips(index: int, row: Float) -> Float:
        return row[[1, 0, 2, 3]] if index == 4 else row

    checks = check_all("classify", images, classified(rows), classified(rows, flips))
    agreement = checks["top1_agreement"]
    assert (agreement.verdict, agreement.value, agreement.ties, agreement.n) == ("pass", 1, 1, 19)


def test_only_ties_prove_nothing() -> None:
    images, rows = classifier(5)
    flat = [np.full_like(row, 0.25) for row in rows]
    checks = check_all("classify", images, classified(flat), classified(flat))
    assert checks["top1_agreement"].verdict == "undecided"
    assert not accepted(tuple(checks.values()), limits_for("float32"))


# Detection controls


def swapped_classes(_: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
    return boxes, scores[:, ::-1].copy()


def shifted_scores(_: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
    return boxes, scores * np.float32(0.6)


def scaled_boxes(_: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
    return boxes * np.float32(1.1), scores


def nudged_boxes(_: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
    return boxes + np.float32(2.0), scores


def noise(index: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
    random = np.random.default_rng(index)
    factor = random.uniform(0.3, 1.2, scores.shape)
    moved = boxes + random.normal(0, 4, boxes.shape)
    return moved.astype(np.float32), (scores * factor).clip(0, 1).astype(np.float32)


def first_image_lost(index: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
    return boxes, scores * np.float32(0.01 if index == 5 else 1)


def coordinates_swapped(_: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
    return boxes[:, [1, 0, 3, 2]].copy(), scores


def doubled(_: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
    """As without NMS: a second box beside each."""
    again = boxes + np.float32(3)
    return np.concatenate([boxes, again]), np.concatenate([scores, scores * np.float32(0.99)])


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (swapped_classes, {"box_agreement", "map50_95_drop", "lost_share", "max_abs/scores"}),
        (shifted_scores, {"box_agreement", "score_shift", "lost_share", "max_abs/scores"}),
        (scaled_boxes, {"box_agreement", "map50_95_drop", "max_abs/boxes", "snr_db/boxes"}),
        (nudged_boxes, {"box_agreement", "max_abs/boxes"}),
        (noise, {"box_agreement", "map50_95_drop", "score_shift", "small_recall_drop/small"}),
        (first_image_lost, {"box_agreement", "max_abs/scores"}),
        (coordinates_swapped, {"box_agreement", "map50_95_drop", "lost_share"}),
    ],
)
def test_faults_of_a_detector_are_seen(change: Heads, seen: set[str]) -> None:
    images, heads = detector(60)
    checks = check_all("detect", images, detected(heads), detected(heads, change))
    assert seen <= failing(checks)
    assert not accepted(tuple(checks.values()), limits_for("float32"))
    assert checks["box_agreement"].worst


def test_float16_is_held_to_the_scores_an_app_shows() -> None:
    def hidden(_: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
        return boxes, np.where(scores < 0.2, scores * np.float32(0.95), scores)

    def shown(_: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
        return boxes, np.where(scores > 0.9, scores - np.float32(0.02), scores)

    images, heads = detector(60)
    loose = check_all("detect", images, detected(heads), detected(heads, hidden), "float16")
    assert "max_abs/shown_scores" not in failing(loose)
    assert "max_abs/scores" not in failing(loose)
    tight = check_all("detect", images, detected(heads), detected(heads, hidden), "float32")
    assert "max_abs/scores" in failing(tight)
    seen = check_all("detect", images, detected(heads), detected(heads, shown), "float16")
    assert "max_abs/shown_scores" in failing(seen)
    assert seen["max_abs/shown_scores"].value == pytest.approx(0.02, abs=1e-6)


def test_snr_is_judged_over_all_images() -> None:
    def faint(index: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
        return boxes, scores * np.float32(1e-4 if index == 0 else 1)

    def noisy(index: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
        boxes, scores = faint(index, boxes, scores)
        return boxes, scores * np.float32(1.05 if index == 0 else 1)

    images, heads = detector(10)
    checks = check_all("detect", images, detected(heads, faint), detected(heads, noisy))
    assert checks["snr_db/scores"].verdict == "pass"
    assert checks["snr_db/scores"].worst[0].image == "0000.jpg"


def test_nudged_boxes_fail_in_float16_too() -> None:
    # They look like ties of NMS one by one; together they are no chance.
    images, heads = detector(60)
    checks = check_all("detect", images, detected(heads), detected(heads, nudged_boxes), "float16")
    assert "box_agreement" in failing(checks)
    assert "moved" in checks["box_agreement"].worst[0].note


def test_boxes_too_many_fail() -> None:
    images, heads = detector(20)
    candidate = [
        replace(one, roles=before.roles)
        for one, before in zip(detected(heads, doubled), detected(heads), strict=True)
    ]
    checks = check_all("detect", images, detected(heads), candidate)
    assert "box_agreement" in failing(checks)
    assert "extra" in checks["box_agreement"].worst[0].note


def test_a_score_shift_that_map_hides_fails_a_quantised_detector() -> None:
    images, heads = detector(60)
    checks = check_all(
        "detect", images, detected(heads), detected(heads, shifted_scores), "static_wi8_ai8"
    )
    assert checks["map50_95_drop"].verdict == "pass"
    assert failing(checks) == {"score_shift", "lost_share"}
    shift, bounds = checks["score_shift"].value, checks["score_shift"].bounds
    assert shift is not None
    assert bounds is not None
    assert bounds[0] < shift < bounds[1] < -0.1
    assert not accepted(tuple(checks.values()), limits_for("static_wi8_ai8"))


def test_rising_scores_are_a_shift_too() -> None:
    def surer(_: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
        return boxes, np.where(scores > 0.2, scores + np.float32(0.04), scores)

    images, heads = detector(60)
    checks = check_all("detect", images, detected(heads), detected(heads, surer), "static_wi8_ai8")
    assert failing(checks) == {"score_shift"}
    assert (checks["score_shift"].value or 0) > 0.03


def test_detections_beside_the_threshold_flicker_and_are_not_lost() -> None:
    def dimmed(_: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
        beside = (scores > CONFIDENCE) & (scores < CONFIDENCE + 0.09)
        return boxes, np.where(beside, scores - np.float32(0.1), scores)

    images, heads = detector(60)
    checks = check_all("detect", images, detected(heads), detected(heads, dimmed), "mixed")
    lost = checks["lost_share"]
    assert (lost.value, lost.verdict) == (0, "pass")
    assert lost.ties > 0
    assert f"{lost.ties} between" in lost.method


def test_a_tie_at_the_threshold_is_set_aside() -> None:
    images, heads = detector(20)
    heads[3][1][0] = [CONFIDENCE + 5e-4, 0, 0, 0]

    def below(index: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
        if index == 3:
            scores[0, 0] -= np.float32(9e-4)
        return boxes, scores

    checks = check_all("detect", images, detected(heads), detected(heads, below))
    assert (checks["box_agreement"].verdict, checks["box_agreement"].ties) == ("pass", 1)


def test_equally_good_boxes_of_one_object_may_change_places() -> None:
    images, heads = detector(20)
    twins = detected(heads)
    first = twins[0].app
    assert isinstance(first, Detections)
    moved = first.boxes.copy()
    moved[0, [0, 2]] += 2
    candidate = [replace(twins[0], app=replace(first, boxes=moved)), *twins[1:]]
    checks = check_all("detect", images, twins, candidate)
    assert (checks["box_agreement"].verdict, checks["box_agreement"].ties) == ("pass", 2)


def test_no_detection_anywhere_proves_nothing() -> None:
    def silent(_: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
        return boxes, scores * np.float32(0.1)

    images, heads = detector(5)
    quiet = detected(heads, silent)
    checks = check_all("detect", images, quiet, quiet)
    assert checks["box_agreement"].verdict == "undecided"
    assert "add images" in checks["box_agreement"].hint
    assert checks["lost_share"].value is None
    assert not accepted(tuple(checks.values()), limits_for("float32"))


# The capture gate, sizes, misuse


def test_the_capture_gate_passes_an_equal_hub_and_refuses_another() -> None:
    images, rows = classifier(12)

    def drifted(_: int, row: Float) -> Float:
        return (row * np.float32(1.001)).astype(np.float32)

    same = hub_equivalence(
        classified(rows), classified(rows), images=images, contract=contract("classify")
    )
    other = hub_equivalence(
        classified(rows), classified(rows, drifted), images=images, contract=contract("classify")
    )
    assert [c.name for c in same] == ["hub_equivalence", "top1_agreement", "label_order"]
    assert [c.verdict for c in same] == ["pass", "pass", "pass"]
    assert [c.verdict for c in other] == ["fail", "pass", "pass"]
    assert other[0].value == pytest.approx(1e-3, rel=0.01)
    assert "importer" in other[0].hint


def test_the_capture_gate_of_a_detector_compares_boxes() -> None:
    images, heads = detector(6)
    checks = hub_equivalence(
        detected(heads), detected(heads, nudged_boxes), images=images, contract=contract("detect")
    )
    assert {(c.name, c.slice): c.verdict for c in checks} == {
        ("hub_equivalence", "boxes"): "fail",
        ("hub_equivalence", "scores"): "pass",
        ("box_agreement", ""): "fail",
        ("label_order", ""): "pass",
    }


def test_size_is_shown_and_gates_where_a_limit_is_set() -> None:
    images, rows = classifier(5)
    for limit, verdict in ((None, "pass"), (0.6, "pass"), (0.4, "fail")):
        limits = msgspec.structs.replace(limits_for("float16"), size_ratio=limit)
        checks = measure(
            baseline=classified(rows),
            candidate=classified(rows),
            images=images,
            contract=contract("classify"),
            precision="float16",
            limits=limits,
            runtime="fake",
            device="cpu",
            baseline_bytes=1000,
            candidate_bytes=500,
        ).checks
        (size,) = [c for c in checks if c.name == "size_ratio"]
        assert (size.value, size.verdict, size.gating) == (0.5, verdict, limit is not None)


def test_score_pairs_for_the_report() -> None:
    images, heads = detector(30)
    result = measure(
        baseline=detected(heads),
        candidate=detected(heads, shifted_scores),
        images=images,
        contract=contract("detect"),
        precision="mixed",
        limits=limits_for("mixed"),
        runtime="fake",
        device="cpu",
    )
    before, after = np.array(result.scores).T
    assert len(before) > 200
    assert after == pytest.approx(before * 0.6, rel=1e-5)


def test_outputs_of_another_shape_are_refused() -> None:
    images, rows = classifier(3)
    candidate = classified([np.append(row, np.float32(0)) for row in rows])
    with pytest.raises(VerificationFailed, match="not those of the baseline"):
        check_all("classify", images, classified(rows), candidate)


def test_a_float_step_needs_outputs_to_compare() -> None:
    images, rows = classifier(3)
    bare = [replace(one, roles=None) for one in classified(rows)]
    with pytest.raises(VerificationFailed, match="no outputs"):
        check_all("classify", images, classified(rows), bare)
    assert "top1_drop" in check_all("classify", images, classified(rows), bare, "mixed")


def test_a_stored_baseline_without_outputs_is_compared_by_its_results() -> None:
    images, rows = classifier(12)
    bare = [replace(one, roles=None) for one in classified(rows)]
    lost = [replace(one, roles=None) for one in classified(rows, one_image_lost)]
    for candidate, verdict in ((bare, "pass"), (lost, "fail")):
        checks = measure(
            baseline=bare,
            candidate=candidate,
            images=images,
            contract=contract("classify"),
            precision="float32",
            limits=limits_for("float32"),
            runtime="fake",
            device="cpu",
            outputs_kept=False,
        ).checks
        assert {c.name: c.verdict for c in checks}["top1_agreement"] == verdict
        assert not {"max_abs", "snr_db"} & {c.name for c in checks}


def test_predictions_of_other_images_are_a_bug() -> None:
    images, rows = classifier(3)
    baseline = classified(rows)
    with pytest.raises(RuntimeError, match="not of the same image"):
        check_all("classify", images, baseline, baseline[::-1])
    with pytest.raises(RuntimeError, match="differ in number"):
        check_all("classify", images, baseline, baseline[:2])
