"""Integers without usable labels: agreement gates, and planted faults that it alone sees."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from phoneproof.core.binding import Precision
from phoneproof.core.check import Check
from phoneproof.core.dataset import ImageSet
from phoneproof.decode.results import RawOutputs
from phoneproof.runtimes.predict import Prediction
from phoneproof.verify.limits import Limits, limits_for
from phoneproof.verify.measure import measure
from phoneproof.verify.stand_ins import judged_by_loss, without_stand_ins
from phoneproof.verify.verdicts import accepted
from tests.unit.verify_samples import (
    CONFIDENCE,
    Float,
    classified,
    classifier,
    contract,
    detected,
    detections,
    detector,
    image_item,
    image_set,
)

INT8 = limits_for("static_wi8_ai8")


def checks_of(
    task: str,
    images: ImageSet,
    before: list[Prediction],
    after: list[Prediction],
    *,
    limits: Limits = INT8,
    precision: Precision = "static_wi8_ai8",
    shown_at: float | None = None,
) -> dict[str, Check]:
    meant = contract("detect" if task == "raw" else task)
    if task == "raw":
        meant = msgspec.structs.replace(meant, task="raw", decode=None)
    found = measure(
        baseline=before,
        candidate=after,
        images=images,
        contract=meant,
        precision=precision,
        limits=limits,
        runtime="fake",
        device="cpu",
        shown_at=shown_at,
    ).checks
    return {one.name: one for one in found}


def ships(checks: dict[str, Check], limits: Limits = INT8) -> bool:
    return accepted(tuple(checks.values()), limits)


def confused(index: int, row: Float) -> Float:
    """Every fourth image gets another class, every other one a little surer."""
    return np.roll(row, 1) if index % 4 == 0 else row


def unsure(n: int, labelled: bool) -> tuple[ImageSet, list[Float]]:
    images, rows = classifier(n, labelled=labelled)
    return images, [np.array([0.27, 0.26, 0.24, 0.23], np.float32) for _ in rows]


def test_a_classifier_that_changes_a_quarter_of_its_classes_is_refused_without_labels() -> None:
    images, rows = unsure(400, labelled=False)
    checks = checks_of("classify", images, classified(rows), classified(rows, confused))
    assert checks["top1_agreement"].value == pytest.approx(0.75)
    assert abs(checks["score_shift"].value or 0.0) < 0.02
    assert not ships(checks)
    others = {name: one for name, one in checks.items() if name != "top1_agreement"}
    assert ships(others), "nothing else sees it"


def test_one_missing_label_is_as_good_as_none_and_all_labels_judge_the_loss() -> None:
    images, rows = classifier(400)
    same = classified(rows)
    labelled = checks_of("classify", images, same, same)
    assert not labelled["top1_agreement"].gating
    first, *rest = images.items
    partly = image_set((msgspec.structs.replace(first, label=None), *rest))
    found = checks_of("classify", partly, same, same)["top1_agreement"]
    assert (found.gating, found.limit, found.verdict) == (True, 0.98, "pass")


def test_labels_of_which_the_baseline_knows_none_measure_no_loss() -> None:
    images, rows = classifier(400)
    wrong = image_set(
        tuple(
            msgspec.structs.replace(item, label=(int(row.argmax()) + 1) % len(row))
            for item, row in zip(images.items, rows, strict=True)
        )
    )
    checks = checks_of("classify", wrong, classified(rows), classified(rows))
    assert checks["top1_drop"].verdict == "pass"
    assert checks["top1_agreement"].gating


def test_what_was_accepted_by_its_loss_is_not_refused_later_for_want_of_labels() -> None:
    images, rows = unsure(400, labelled=False)
    checks = checks_of("classify", images, classified(rows), classified(rows, confused))
    again = without_stand_ins(checks.values(), INT8)
    assert not ships(checks)
    assert accepted(again, INT8)
    own = msgspec.structs.replace(INT8, top1_agreement=0.9)
    checks = checks_of("classify", images, classified(rows), classified(rows, confused), limits=own)
    assert not accepted(without_stand_ins(checks.values(), own), own), "asked for: it stays"
    assert not judged_by_loss(checks.values())
    labelled, rows = classifier(400)
    assert judged_by_loss(
        checks_of("classify", labelled, classified(rows), classified(rows)).values()
    )


def test_limits_of_the_user_stay() -> None:
    images, rows = unsure(400, labelled=False)
    own = msgspec.structs.replace(INT8, top1_agreement=0.7)
    checks = checks_of("classify", images, classified(rows), classified(rows, confused), limits=own)
    assert checks["top1_agreement"].limit == 0.7
    assert ships(checks, own)


# Detectors


def with_extra(heads: list[tuple[Float, Float]], extra: int) -> list[Prediction]:
    """Clear detections of things that the baseline does not see, on every image."""

    def invent(_: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
        empty = np.flatnonzero(scores.max(axis=1) < CONFIDENCE)[:extra]
        scores[empty, 0] = 0.6
        return boxes, scores

    return detected(heads, invent)


@pytest.mark.parametrize(("extra", "verdict"), [(0, "pass"), (4, "fail")])
def test_objects_that_only_the_integers_see_are_counted_without_labels(
    extra: int, verdict: str
) -> None:
    images, heads = detector(60, labelled=False)
    checks = checks_of("detect", images, detected(heads), with_extra(heads, extra))
    agreement = checks["box_agreement"]
    assert (agreement.gating, agreement.verdict) == (True, verdict)
    assert ships(checks) == (verdict == "pass")
    others = {name: one for name, one in checks.items() if name != "box_agreement"}
    assert ships(others), "nothing else sees it"
    if extra:
        assert "0 missing, 4 extra" in agreement.worst[0].note


def test_boxes_of_another_place_and_flicker() -> None:
    def moved(index: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
        return boxes + np.float32(60.0 if index % 3 == 0 else 0.5), scores

    def flickering(_: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
        beside = (scores > CONFIDENCE) & (scores < CONFIDENCE + 0.09)
        return boxes, np.where(beside, np.float32(0.1), scores)

    images, heads = detector(60, labelled=False)
    far = checks_of("detect", images, detected(heads), detected(heads, moved))["box_agreement"]
    assert far.verdict == "fail"
    assert 0.6 < (far.value or 0.0) < 0.75
    beside = checks_of("detect", images, detected(heads), detected(heads, flickering))
    assert (beside["box_agreement"].value, beside["box_agreement"].verdict) == (1.0, "pass")
    assert beside["box_agreement"].ties > 0


def test_clear_is_meant_by_the_files_own_threshold() -> None:
    images, heads = detector(60, labelled=False)
    raised = with_extra(heads, 4)
    at = {
        shown: checks_of("detect", images, detected(heads), raised, shown_at=shown)
        for shown in (CONFIDENCE, 0.55)
    }
    assert at[CONFIDENCE]["box_agreement"].verdict == "fail"
    assert at[0.55]["box_agreement"].verdict == "pass"


def test_no_clear_detection_anywhere_proves_nothing() -> None:
    def silent(_: int, boxes: Float, scores: Float) -> tuple[Float, Float]:
        return boxes, scores * np.float32(0.1)

    images, heads = detector(5, labelled=False)
    quiet = detected(heads, silent)
    checks = checks_of("detect", images, quiet, quiet)
    assert checks["box_agreement"].verdict == "undecided"
    assert not ships(checks)


def test_with_labels_the_agreement_of_boxes_is_shown_alone() -> None:
    images, heads = detector(60)
    checks = checks_of("detect", images, detected(heads), with_extra(heads, 4))
    assert not checks["box_agreement"].gating
    assert (checks["box_agreement"].value or 1.0) < 0.9


def test_two_boxes_for_one_object_are_one_too_many() -> None:
    images, heads = detector(20, labelled=False)
    before = detected(heads)
    after = []
    for one, (boxes, scores) in zip(before, heads, strict=True):
        twice = detections(
            np.concatenate([boxes, boxes]), np.concatenate([scores, scores]), CONFIDENCE
        )
        after.append(replace(one, app=twice))
    agreement = checks_of("detect", images, before, after)["box_agreement"]
    assert agreement.value == pytest.approx(0.5)


# Outputs of unknown meaning


def raw(noise: float) -> tuple[ImageSet, list[Prediction]]:
    items, rows = [], []
    for index in range(12):
        random = np.random.default_rng(index)
        signal = random.normal(size=1000).astype(np.float32)
        values = (signal + noise * random.normal(size=1000)).astype(np.float32)
        items.append(image_item(index))
        rows.append(
            Prediction(
                name=items[-1].name,
                sha256=items[-1].sha256,
                height=1,
                width=1,
                app=RawOutputs(tensors=(("out", values),)),
                metric=None,
                roles={"raw": values},
            )
        )
    return image_set(tuple(items)), rows


@pytest.mark.parametrize(("noise", "shipped"), [(0.05, True), (0.2, False), (3.0, False)])
def test_raw_integers_are_judged_by_their_noise(noise: float, shipped: bool) -> None:
    images, before = raw(0.0)
    checks = checks_of("raw", images, before, raw(noise)[1])
    assert checks["snr_db"].limit == 20.0
    assert ships(checks) is shipped
    own = msgspec.structs.replace(INT8, snr_db=-20.0)
    assert ships(checks_of("raw", images, before, raw(noise)[1], limits=own), own)


def test_noise_of_integers_whose_meaning_is_known_does_not_gate() -> None:
    images, rows = classifier(50)
    checks = checks_of("classify", images, classified(rows), classified(rows))
    assert not checks["snr_db"].gating
