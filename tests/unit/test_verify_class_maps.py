"""Outputs of class numbers: judged by the share of positions that are the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from phoneproof.core.binding import Binding, DType, InputBinding, OutputBinding, Precision, Quant
from phoneproof.core.check import Check
from phoneproof.core.contract import Contract
from phoneproof.core.tensors import TensorSpec
from phoneproof.decode.heads import class_maps
from phoneproof.decode.results import RawOutputs
from phoneproof.runtimes.predict import Prediction
from phoneproof.verify.limits import DEQUANTISED_LIMITS, Limits, limits_for
from phoneproof.verify.measure import agreement, hub_equivalence, measure
from phoneproof.verify.verdicts import accepted
from tests.unit.verify_samples import Float, classified, classifier, contract

N = 8
SIDE = 120
NAME = "ArgMax"
RAW: Contract = msgspec.structs.replace(contract("detect"), task="raw", decode=None)
IMAGES, ROWS = classifier(N, labelled=False)


def map_of(index: int) -> Float:
    """Regions of five classes, as an argmax leaves them."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    return np.asarray(((rows + 7 * index) // 40 + columns // 50) % 5, np.float32)


def predicted(change: Callable[[int, Float], Float]) -> list[Prediction]:
    return [
        replace(one, app=RawOutputs(tensors=()), roles={NAME: change(index, map_of(index))})
        for index, one in enumerate(classified(ROWS))
    ]


def same(index: int, classes: Float) -> Float:
    del index
    return classes


def ties(count: int) -> Callable[[int, Float], Float]:
    """So many positions get another class, on every image."""

    def changed(index: int, classes: Float) -> Float:
        places = np.random.default_rng(index).choice(classes.size, count, replace=False)
        result = classes.copy()
        result.flat[places] = (result.flat[places] + 1) % 5
        return result

    return changed


def swapped(index: int, classes: Float) -> Float:
    del index
    return np.select([classes == 1, classes == 2], [2, 1], classes).astype(np.float32)


def shifted(index: int, classes: Float) -> Float:
    del index
    return np.roll(classes, 3, axis=1)


def one_image_lost(index: int, classes: Float) -> Float:
    return np.zeros_like(classes) if index == 0 else classes


def checks_of(
    change: Callable[[int, Float], Float],
    precision: Precision = "float32",
    limits: Limits | None = None,
    maps: frozenset[str] = frozenset({NAME}),
) -> dict[str, Check]:
    found = measure(
        baseline=predicted(same),
        candidate=predicted(change),
        images=IMAGES,
        contract=RAW,
        precision=precision,
        limits=limits or limits_for(precision),
        runtime="fake",
        device="cpu",
        class_maps=maps,
    ).checks
    for one in found:
        assert msgspec.json.decode(msgspec.json.encode(one), type=Check) == one
    return {one.name: one for one in found}


@pytest.mark.parametrize(
    ("precision", "limit", "allowed"),
    [("float32", 0.9999, 1), ("float16", 0.99, 140), ("static_wi8_ai8", 0.95, 700)],
)
def test_ties_pass_and_a_few_more_do_not(precision: Precision, limit: float, allowed: int) -> None:
    checks = checks_of(ties(allowed), precision)
    check = checks["class_map_agreement"]
    assert set(checks) == {"class_map_agreement"}
    assert (check.kind, check.slice, check.direction, check.n) == ("bounded", NAME, "min", N)
    assert (check.limit, check.verdict) == (limit, "pass")
    assert check.value == pytest.approx(1 - allowed / SIDE**2)
    assert accepted(tuple(checks.values()), limits_for(precision))
    worse = checks_of(ties(allowed + 30), precision)
    assert worse["class_map_agreement"].verdict == "fail"
    assert not accepted(tuple(worse.values()), limits_for(precision))


@pytest.mark.parametrize("precision", ["float32", "float16", "static_wi8_ai8"])
@pytest.mark.parametrize("fault", [swapped, shifted, one_image_lost])
def test_swapped_classes_a_shifted_map_and_a_lost_image_are_refused(
    fault: Callable[[int, Float], Float], precision: Precision
) -> None:
    check = checks_of(fault, precision)["class_map_agreement"]
    assert check.verdict == "fail"
    assert check.hint
    assert check.worst[0].value == check.value


def test_equal_maps_agree_and_nan_agrees_with_nothing() -> None:
    assert checks_of(same)["class_map_agreement"].value == 1
    nothing = checks_of(lambda _, classes: np.full_like(classes, np.nan))
    assert nothing["class_map_agreement"].value == 0


def test_a_limit_of_the_user_replaces_the_default() -> None:
    own = msgspec.structs.replace(limits_for("float16"), class_map_agreement=0.5)
    assert checks_of(shifted, "float16", own)["class_map_agreement"].verdict == "pass"


def test_other_outputs_keep_their_checks() -> None:
    """One position in ten thousand is worth less than the 60 dB that are asked of numbers."""
    checks = checks_of(ties(1), maps=frozenset())
    assert set(checks) == {"max_abs", "snr_db"}
    assert checks["max_abs"].verdict == "fail"


def test_the_capture_gate_and_the_comparison_with_a_parent_know_class_maps() -> None:
    gate = hub_equivalence(
        predicted(same),
        predicted(ties(1)),
        images=IMAGES,
        contract=RAW,
        class_maps=frozenset({NAME}),
    )
    assert [(one.name, one.verdict) for one in gate] == [("class_map_agreement", "pass")]
    beside = agreement(
        predicted(same),
        predicted(swapped),
        images=IMAGES,
        contract=RAW,
        limits=DEQUANTISED_LIMITS,
        runtime="fake",
        device="cpu",
        class_maps=frozenset({NAME}),
    )
    (check,) = beside
    assert (check.name, check.gating, check.against) == ("class_map_agreement", False, "parent")


@pytest.mark.parametrize(
    ("dtype", "quant", "is_map"),
    [
        ("int64", None, True),
        ("int32", None, True),
        ("float32", None, False),
        ("int32", Quant(scale=0.5, zero_point=0), False),
        ("uint8", None, False),
    ],
)
def test_whole_numbers_of_a_raw_model_are_class_numbers(
    dtype: DType, quant: Quant | None, is_map: bool
) -> None:
    output = OutputBinding(tensor=NAME, role="raw", shape=(1, 9, 9), dtype=dtype, quant=quant)
    image = InputBinding(tensor="image", shape=(1, 9, 9, 3), layout="NHWC")
    binding = Binding(contract="c", format="hub", inputs=(image,), outputs=(output,))
    assert class_maps(RAW, binding) == (frozenset({NAME}) if is_map else frozenset())
    assert class_maps(contract("detect"), binding) == frozenset()


@pytest.mark.parametrize(("dtype", "is_map"), [("int64", True), ("float32", False)])
def test_a_hubs_outputs_are_what_its_source_says_they_are(dtype: DType, is_map: bool) -> None:
    output = OutputBinding(tensor=NAME, role="raw", shape=(1, 9, 9))
    image = InputBinding(tensor="image", shape=(1, 9, 9, 3), layout="NHWC")
    binding = Binding(contract="c", format="hub", inputs=(image,), outputs=(output,))
    source = (TensorSpec(name=NAME, shape=(1, 9, 9), dtype=dtype),)
    assert class_maps(RAW, binding, source) == (frozenset({NAME}) if is_map else frozenset())
