"""Ranges: what each method must find in planted data, and that 0 is always inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from phoneproof.core.recipe import RangeMethod
from phoneproof.optimize.observers import Observer
from phoneproof.optimize.range_methods import COMPUTED, Consumer, range_by

Values = NDArray[np.float32]
RNG = np.random.default_rng(5)


def float32(values: Sequence[float]) -> Values:
    return np.array(values, np.float32)


def seen(values: Values) -> Observer:
    observer = Observer()
    for turn, part in enumerate(np.array_split(values, max(1, values.size // 50_000))):
        observer.add(part, tensor="t", image="i", turn=turn)
    return observer


def quantized(values: Values, low: float, high: float) -> NDArray[np.float64]:
    """Asymmetric rounding to 256 levels, as TFLite does it."""
    step = (high - low) / 255
    zero = np.round(-low / step)
    levels = np.clip(np.round(values.astype(np.float64) / step) + zero, 0, 255)
    return np.asarray((levels - zero) * step)


def silu(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(x / (1 + np.exp(-x)))


def mean_square(values: Values, low: float, high: float, *, behind_silu: bool = False) -> float:
    exact, rounded = values.astype(np.float64), quantized(values, low, high)
    if behind_silu:
        exact, rounded = silu(exact), silu(rounded)
    return float(np.mean((exact - rounded) ** 2))


LONG_TAIL = (RNG.normal(size=400_000) * np.exp(RNG.normal(size=400_000))).astype(np.float32)


def test_every_method_but_the_learned_one_is_computed() -> None:
    assert set(COMPUTED) == set(get_args(RangeMethod)) - {"learned"}
    with pytest.raises(ValueError, match="learned"):
        range_by("learned", seen(LONG_TAIL[:100]))


@pytest.mark.parametrize("method", COMPUTED)
@pytest.mark.parametrize("value", [5.0, -5.0, 0.0, 1e-20])
def test_constant_tensors(method: RangeMethod, value: float) -> None:
    low, high = range_by(method, seen(np.full(1000, value, np.float32)))
    assert low == pytest.approx(min(value, 0.0), rel=0.01)
    assert high == pytest.approx(max(value, 0.0), rel=0.01)


@pytest.mark.parametrize("method", COMPUTED)
def test_nothing_seen_is_an_empty_range(method: RangeMethod) -> None:
    assert range_by(method, Observer()) == (0.0, 0.0)


@given(
    st.lists(st.floats(-1e5, 1e5, width=32), min_size=1, max_size=60),
    st.sampled_from(COMPUTED),
)
def test_ranges_hold_zero_and_nothing_beyond_the_data(
    values: list[float], method: RangeMethod
) -> None:
    low, high = range_by(method, seen(float32(values)))
    assert min(*values, 0.0) <= low <= 0.0 <= high <= max(*values, 0.0)


def test_percentiles_are_two_sided_shares_of_all_values() -> None:
    values = RNG.permutation(np.arange(-1000, 200_000, dtype=np.float32))
    shares: tuple[tuple[RangeMethod, float], ...] = (
        ("percentile_99_99", 0.9999),
        ("percentile_99_999", 0.99999),
    )
    for method, share in shares:
        low, high = range_by(method, seen(values))
        outside = (1 - share) / 2
        assert low == pytest.approx(np.quantile(values, outside), abs=2)
        assert high == pytest.approx(np.quantile(values, 1 - outside), rel=0.005)


def test_zeros_count_in_percentiles() -> None:
    values = np.zeros(200_000, np.float32)
    values[:40] = 8.0
    assert range_by("percentile_99_99", seen(values)) == pytest.approx((0.0, 8.0), abs=0.1)
    values[5:40] = 0.0
    assert range_by("percentile_99_99", seen(values))[1] == 0.0


@pytest.mark.parametrize(
    "values",
    [
        LONG_TAIL[:60_000],
        np.abs(LONG_TAIL[:60_000]),
        RNG.uniform(-1, 3, 60_000).astype(np.float32),
        np.maximum(RNG.normal(size=60_000), 0).astype(np.float32),
    ],
    ids=["long tails", "one-sided", "uniform", "relu"],
)
def test_mse_is_near_the_best_of_all_clippings(values: Values) -> None:
    found = mean_square(values, *range_by("mse", seen(values)))
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    best = min(
        mean_square(values, low * a, high * b)
        for a in np.geomspace(0.05, 1, 12)
        for b in np.geomspace(0.05, 1, 12)
        if low * a != high * b
    )
    assert found < 1.05 * best


def test_mse_clips_each_end_by_itself() -> None:
    values = np.concatenate([RNG.normal(0, 0.5, 400_000), RNG.uniform(0, 30, 400_000)])
    values[0] = -40.0
    low, high = range_by("mse", seen(values.astype(np.float32)))
    assert low > -10
    assert high > 29


def test_error_behind_a_silu_spares_the_peaks() -> None:
    """A long negative tail costs before the gate; behind it there is nothing left of it."""
    negative = RNG.normal(-12, 6, 300_000)
    peaks = RNG.uniform(0, 8, 30_000)
    values = np.concatenate([negative, peaks]).astype(np.float32)
    plain, gated = (range_by("mse", seen(values), kind) for kind in ("identity", "silu"))
    assert gated[0] > -10 > -20 > plain[0]
    assert gated[1] > 7.5
    assert mean_square(values, *gated, behind_silu=True) < 0.5 * mean_square(
        values, *plain, behind_silu=True
    )


@pytest.mark.parametrize("kind", get_args(Consumer))
def test_every_consumer_has_a_range(kind: Consumer) -> None:
    low, high = range_by("mse", seen(LONG_TAIL), kind)
    assert low < 0 < high


def test_scores_keep_their_steps_behind_a_sigmoid() -> None:
    logits = np.concatenate([RNG.normal(-15, 3, 300_000), RNG.uniform(-3, 4, 3_000)])
    low, high = range_by("mse", seen(logits.astype(np.float32)), "sigmoid")
    assert -12 < low < -4
    assert high > 3.5


def test_entropy_cuts_a_few_outliers_and_keeps_a_uniform_range() -> None:
    bell = RNG.normal(size=300_000).astype(np.float32)
    outliers = np.concatenate([bell, float32([60.0, -55.0])])
    low, high = range_by("entropy", seen(outliers))
    assert 3 < high < 20
    assert -20 < low < -3
    even = RNG.uniform(-2, 2, 300_000).astype(np.float32)
    assert range_by("entropy", seen(even)) == pytest.approx((-2, 2), rel=0.02)


def test_entropy_ignores_the_zeros_of_a_relu() -> None:
    positive = np.abs(LONG_TAIL)
    mostly_zero = np.concatenate([positive, np.zeros(4_000_000, np.float32)])
    without, with_zeros = (range_by("entropy", seen(v)) for v in (positive, mostly_zero))
    assert with_zeros[1] == pytest.approx(without[1], rel=0.05)


@pytest.mark.parametrize("method", COMPUTED)
def test_scores_that_the_app_reads_keep_their_peaks_and_lose_their_background(
    method: RangeMethod,
) -> None:
    logits = np.concatenate([np.full(100_000, -20.0), np.array([-5.0, 0.5, 4.0])])
    low, high = range_by(method, seen(logits.astype(np.float32)), "score")
    assert low == pytest.approx(-9.21, abs=0.01)
    assert high == 4.0
