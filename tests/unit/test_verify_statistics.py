"""Intervals against published figures, brute force and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from phoneproof.verify import statistics
from phoneproof.verify.statistics import (
    Z,
    binomial,
    bootstrap_weights,
    margin_verdict,
    percentile_bounds,
    ratio_estimate,
    resampling_units,
    tango,
)


def test_tango_gives_the_published_90_percent_interval() -> None:
    # Tango (1998), the cross-over trial of two lens disinfections: n = 44, b = 0, c = 1.
    estimate = tango(0, 1, 44)
    assert (round(estimate.lower, 3), round(estimate.upper, 3)) == (-0.096, 0.037)


def test_tango_gives_the_published_95_percent_interval() -> None:
    # Fagerland, Lydersen, Laake, Stat. Med. 33 (2014): 1 and 7 of 21 discordant pairs.
    estimate = tango(1, 7, 21, confidence=0.975)
    assert (round(estimate.lower, 3), round(estimate.upper, 3)) == (-0.517, -0.026)


def brute_force_score(lost: int, gained: int, n: int, difference: float) -> float:
    """The score statistic with the nuisance parameter maximised on a fine grid."""
    low, high = max(0.0, -difference), (1.0 - difference) / 2.0
    gain = np.linspace(low, high, 400_001)[1:-1]
    with np.errstate(divide="ignore"):
        likelihood = (n - lost - gained) * np.log(1 - 2 * gain - difference)
        if lost:
            likelihood = likelihood + lost * np.log(gain + difference)
        if gained:
            likelihood = likelihood + gained * np.log(gain)
    best = float(gain[np.argmax(likelihood)])
    variance = 2 * best + difference - difference**2
    return (lost - gained - n * difference) / math.sqrt(n * variance)


@pytest.mark.parametrize(
    ("lost", "gained", "n"), [(3, 1, 50), (10, 12, 100), (40, 20, 160), (1, 7, 21), (5, 0, 30)]
)
def test_at_its_bounds_the_brute_force_statistic_is_z(lost: int, gained: int, n: int) -> None:
    estimate = tango(lost, gained, n)
    assert brute_force_score(lost, gained, n, estimate.lower) == pytest.approx(Z, abs=2e-3)
    assert brute_force_score(lost, gained, n, estimate.upper) == pytest.approx(-Z, abs=2e-3)


@given(st.integers(1, 400), st.data())
@settings(max_examples=100, deadline=None)
def test_tango_holds_its_estimate_and_mirrors(n: int, data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, n))
    gained = data.draw(st.integers(0, n - lost))
    one, other = tango(lost, gained, n), tango(gained, lost, n)
    assert -1 <= one.lower <= one.value <= one.upper <= 1
    assert one.lower == pytest.approx(-other.upper, abs=1e-9)
    assert one.value == -other.value


def test_without_disagreement_tango_is_the_closed_form() -> None:
    assert tango(0, 0, 300).upper == pytest.approx(Z**2 / (300 + Z**2), abs=1e-9)


def test_tango_refuses_what_is_no_table() -> None:
    with pytest.raises(ValueError, match="paired table"):
        tango(3, 3, 5)


def test_tango_covers_as_often_as_it_says() -> None:
    # 2 % lost, 1 % gained, 500 images: the upper bound must hold in about 95 % of data sets.
    random = np.random.default_rng(1)
    draws = random.multinomial(500, [0.02, 0.01, 0.97], size=2000)
    kinds, counts = np.unique(draws[:, :2], axis=0, return_counts=True)
    covered = sum(
        int(count)
        for (lost, gained), count in zip(kinds.tolist(), counts, strict=True)
        if tango(lost, gained, 500).upper >= 0.01
    )
    assert 0.93 <= covered / 2000 <= 0.97


def test_one_point_at_no_loss_needs_649_images_at_2_percent_and_1400_at_5() -> None:
    assert tango(1, 1, 100).needed(0.01) == 649
    assert tango(5, 5, 200).needed(0.01) == 1400
    assert tango(7, 7, 700).upper <= 0.01 < tango(6, 6, 600).upper


def test_without_disagreement_268_images_decide_and_267_do_not() -> None:
    assert tango(0, 0, 50).needed(0.01) == 268
    assert tango(0, 0, 268).upper <= 0.01 < tango(0, 0, 267).upper


@pytest.mark.parametrize(("lost", "gained"), [(1, 0), (3, 1), (2, 1), (9, 2)])
def test_an_undecided_margin_needs_more_images_than_there_are(lost: int, gained: int) -> None:
    found = tango(lost, gained, 350)
    assert found.lower <= 0.01 < found.upper
    needed = found.needed(0.01)
    assert needed is not None
    assert needed > 350


def test_no_number_decides_a_loss_on_the_margin() -> None:
    assert tango(3, 1, 200).needed(0.01) is None


@pytest.mark.parametrize(("events", "n"), [(0, 50), (1, 50), (7, 120), (50, 50)])
def test_binomial_bounds_leave_five_percent_in_each_tail(events: int, n: int) -> None:
    estimate = binomial(events, n)
    assert events == n or binom.cdf(events, n, estimate.upper) == pytest.approx(0.05)
    assert events == 0 or binom.sf(events - 1, n, estimate.lower) == pytest.approx(0.05)


def test_binomial_gives_the_published_interval() -> None:
    # Clopper and Pearson's 90 % interval for 10 of 20: .302 to .698.
    estimate = binomial(10, 20)
    assert (round(estimate.lower, 3), round(estimate.upper, 3)) == (0.302, 0.698)


def test_nothing_lost_needs_the_rule_of_three() -> None:
    needed = binomial(0, 20).needed(0.02)
    assert needed == math.ceil(math.log(0.05) / math.log(0.98))
    assert binomial(0, needed).upper <= 0.02 < binomial(0, needed - 1).upper


def test_a_rate_of_nothing_is_unknown() -> None:
    estimate = binomial(0, 0)
    assert math.isnan(estimate.value)
    assert (estimate.lower, estimate.upper) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("loss", "lower", "upper", "verdict"),
    [
        (0.0, -0.01, 0.01, "pass"),
        (0.005, -0.01, 0.02, "undecided"),
        (0.03, 0.0, 0.06, "undecided"),
        (0.03, 0.011, 0.06, "fail"),
        (math.nan, 0.0, 0.0, "fail"),
        (0.0, -math.inf, math.inf, "undecided"),
    ],
)
def test_verdict(loss: float, lower: float, upper: float, verdict: str) -> None:
    assert margin_verdict(loss, lower, upper, 0.01) == verdict


def test_bootstrap_weights_are_the_same_every_time_and_draw_n_images() -> None:
    weights = bootstrap_weights(30)
    assert weights.shape == (30, 2000)
    assert (weights.sum(axis=0) == 30).all()
    assert (weights == bootstrap_weights(30)).all()
    assert weights.var() == pytest.approx(29 / 30, rel=0.02)


def test_bootstrap_bounds_of_a_mean_are_those_of_theory() -> None:
    values = np.random.default_rng(3).normal(0.1, 1.0, 400)
    estimate = ratio_estimate(values, np.ones(400))
    half = Z * values.std() / math.sqrt(400)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.upper - estimate.value == pytest.approx(half, rel=0.06)
    assert estimate.value - estimate.lower == pytest.approx(half, rel=0.06)


def test_many_images_are_resampled_in_groups_with_the_same_bounds() -> None:
    values = np.random.default_rng(9).normal(0.1, 1.0, 20_000)
    estimate = ratio_estimate(values, np.ones(20_000))
    half = Z * values.std() / math.sqrt(20_000)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.upper - estimate.value == pytest.approx(half, rel=0.08)
    units = resampling_units(20_000)
    assert units[0] == 0
    assert units[-1] == statistics.MAX_UNITS - 1
    assert set(np.diff(units)) == {0, 1}


def test_items_of_one_image_are_not_independent() -> None:
    # 20 images of 50 equal items each know no more than 20 items.
    values = np.random.default_rng(4).normal(0.0, 1.0, 20)
    clustered = ratio_estimate(values * 50, np.full(20, 50.0))
    single = ratio_estimate(values, np.ones(20))
    assert clustered.upper == pytest.approx(single.upper)


def test_bootstrap_bounds_widen_for_few_images() -> None:
    replicates = np.random.default_rng(5).normal(0.0, 1.0, 100_000)
    wide, plain = percentile_bounds(replicates, 8), percentile_bounds(replicates, 100_000)
    assert plain[1] == pytest.approx(Z, abs=0.02)
    assert wide[1] == pytest.approx(1.895 * math.sqrt(8 / 7), abs=0.03)


def test_one_image_bounds_nothing() -> None:
    assert percentile_bounds(np.zeros(10), 1) == (-math.inf, math.inf)


def test_bootstrap_says_how_many_images_would_decide() -> None:
    values = np.random.default_rng(6).normal(0.0, 0.1, 100)
    estimate = ratio_estimate(values - values.mean(), np.ones(100))
    assert estimate.needed(0.01) == pytest.approx((Z * values.std() / 0.01) ** 2, rel=0.1)
    assert estimate.needed(estimate.value) is None
