from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phoneproof.core.preflight import Feature, FeatureReport
from phoneproof.verify.production import Values, compare_features, picture_surprises
from phoneproof.verify.statistics import Float64

FEATURES: tuple[Feature, ...] = ("brightness", "sharpness", "short_side", "confidence")


def compare(evaluation: Float64, production: Float64) -> tuple[FeatureReport, ...]:
    """The same values as every feature."""
    return compare_features(
        [Values(feature=name, evaluation=evaluation, production=production) for name in FEATURES]
    )


def test_sets_of_one_kind_raise_no_alarm() -> None:
    """At most one false alarm in a hundred builds is what the rule promises: here 0 to 3 of 100."""
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(100):
        values = [
            Values(feature=name, evaluation=rng.normal(size=120), production=rng.normal(size=60))
            for name in FEATURES
        ]
        alarms += any(report.differs for report in compare_features(values))
    assert alarms <= 3


def test_a_set_of_another_kind_does() -> None:
    rng = np.random.default_rng(6)
    reports = compare(rng.normal(size=120), rng.normal(size=60) - 1.5)
    assert all(report.differs for report in reports)
    assert reports[0].below > 5 * reports[0].expected
    assert reports[0].above == 0


def test_a_sure_but_tiny_difference_is_none() -> None:
    rng = np.random.default_rng(7)
    report = compare(rng.normal(size=20_000), rng.normal(size=20_000) + 0.1)[0]
    assert report.p_value < 1e-6
    assert not report.differs


def test_a_set_against_itself() -> None:
    values = np.arange(50, dtype=np.float64)
    for report in compare(values, values):
        # Of 50 images the second smallest is the 5 % limit of confidence.
        assert (report.below, report.above) == (report.feature == "confidence", 0)
        assert not report.differs
        assert report.distance == 0.0
        assert report.p_value == pytest.approx(1.0)


def test_all_evaluation_images_of_one_size() -> None:
    report = compare(np.full(40, 640.0), np.array([640.0, 640.0, 480.0, 1080.0]))[0]
    assert (report.low, report.high, report.below, report.above) == (640.0, 640.0, 1, 1)


def test_one_image_on_each_side_is_enough_to_run() -> None:
    report = compare(np.array([0.5]), np.array([0.4]))[0]
    assert (report.below, report.differs) == (1, False)


@settings(max_examples=5, deadline=None)
@given(n=st.integers(5, 400), seed=st.integers(0, 2**32 - 1))
def test_chance_is_what_it_is_said_to_be(n: int, seed: int) -> None:
    """Over many draws of both sets, as many are flagged as `expected` says."""
    rng = np.random.default_rng(seed)
    flagged, expected = 0, 0.0
    for _ in range(200):
        one = Values(feature="brightness", evaluation=rng.random(n), production=rng.random(50))
        report = compare_features([one])[0]
        flagged += report.below + report.above
        expected += 2 * report.expected
    # Pictures of one draw share their limits, so counts spread more than Poisson's.
    assert abs(flagged - expected) < 8.0 * np.sqrt(expected * (1 + 50 / n * 2)) + 10


def test_a_confidence_is_never_too_high() -> None:
    rng = np.random.default_rng(8)
    report = compare(rng.random(100), np.ones(10) * 2)[-1]
    assert (report.feature, report.high, report.above) == ("confidence", None, 0)


def test_surprises_of_one_picture() -> None:
    rng = np.random.default_rng(9)
    reports = compare(rng.random(100) + 1, rng.random(30) + 1)
    usual = picture_surprises(reports, np.full(4, 1.5), nothing_found=False)
    assert usual == ()
    odd = picture_surprises(reports, np.array([0.2, 3.0, 1.5, 0.1]), nothing_found=False)
    assert [(s.feature, s.side) for s in odd] == [
        ("brightness", "low"),
        ("sharpness", "high"),
        ("confidence", "low"),
    ]
    assert odd[0].limit == reports[0].low
    nothing = picture_surprises(reports, np.array([0.2, 1.5, 1.5, 0.1]), nothing_found=True)
    assert [s.feature for s in nothing] == ["nothing_found", "brightness"]
