"""Observers: exact ends, histograms that add up, samples that are fair, values that are no data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from phoneproof.core.errors import OptimizationFailed
from phoneproof.optimize.histogram import SENTINEL, Histogram
from phoneproof.optimize.observers import SAMPLE, Observer, sampled

Values = NDArray[np.float32]


def float32(values: Sequence[float]) -> Values:
    return np.array(values, np.float32)


def observed(*images: Values) -> Observer:
    observer = Observer()
    for turn, values in enumerate(images):
        observer.add(values, tensor="conv", image=f"{turn}.jpg", turn=turn)
    return observer


def normal(count: int, seed: int = 0) -> Values:
    return np.random.default_rng(seed).normal(size=count).astype(np.float32)


def test_ends_are_exact_over_all_values_and_images() -> None:
    # One value among a million: no sample would have to meet it.
    first, second = normal(1_000_000), normal(1_000_000, 1)
    first[123_457], second[765_431] = -77.25, 99.5
    seen = observed(first, second)
    assert (seen.low, seen.high) == (-77.25, 99.5)


def test_bins_hold_the_values_they_counted() -> None:
    values = float32([-3.0, -0.1, 0.0, 0.0, 1e-30, 0.1, 2.5, 2.5, 1000.0])
    bins = observed(values).distribution
    for value in values:
        inside = (bins.low <= value) & (value <= bins.high)
        assert bins.counts[inside].sum() >= (values == value).sum()
    assert bins.counts.sum() == values.size
    assert (np.diff(bins.middle) > 0).all()


@given(st.lists(st.floats(-1e6, 1e6, width=32, allow_subnormal=False), min_size=1, max_size=200))
def test_bins_are_narrow_and_sorted_whatever_the_values(values: list[float]) -> None:
    bins = observed(float32(values)).distribution
    assert bins.counts.sum() == len(values)
    assert (bins.low <= bins.high).all()
    assert (np.diff(bins.low) >= 0).all()
    assert (bins.high - bins.low <= np.abs(bins.middle) / 100 + 1e-37).all()
    assert bins.low[0] == pytest.approx(min(values), rel=1e-6)
    assert bins.high[-1] == pytest.approx(max(values), rel=1e-6)


def test_halves_add_up_to_the_whole() -> None:
    images = [normal(5000, seed) * (seed + 1) for seed in range(6)]
    whole = observed(*images)
    halves = observed(*images[::2]).merged(observed(*images[1::2]))
    assert (halves.low, halves.high) == (whole.low, whole.high)
    for one, other in (
        (halves.distribution.counts, whole.distribution.counts),
        (halves.distribution.low, whole.distribution.low),
    ):
        assert np.array_equal(one, other)


def test_merging_changes_neither() -> None:
    first, second = observed(normal(100)), observed(normal(100, 1) * 9)
    before = first.distribution.counts.copy()
    first.merged(second).add(normal(50), tensor="conv", image="x", turn=0)
    assert np.array_equal(first.distribution.counts, before)


@pytest.mark.parametrize("shape", [(1, 320, 320, 16), (1, 64, 256, 256), (1, 8400, 84), (70_001,)])
def test_a_sample_gives_every_channel_its_share(shape: tuple[int, ...]) -> None:
    channel = np.broadcast_to(np.arange(shape[-1]), shape).astype(np.float32)
    taken = sampled(np.ascontiguousarray(channel).reshape(-1), 0)
    assert taken.size <= SAMPLE
    counts = np.bincount(taken.astype(np.int64), minlength=shape[-1])
    assert counts.max() - counts.min() <= 1


def test_a_plain_stride_would_see_one_channel_alone() -> None:
    channel = np.tile(np.arange(16), 65536 * 4).astype(np.float32)
    assert len(set(channel[:: channel.size // SAMPLE].tolist())) == 1
    assert len(set(sampled(channel, 0).tolist())) == 16


def test_turns_take_different_samples() -> None:
    values = np.arange(300_000, dtype=np.float32)
    assert not set(sampled(values, 0).tolist()) & set(sampled(values, 1).tolist())


@pytest.mark.parametrize("padding", [np.finfo(np.float32).min, np.finfo(np.float32).max])
def test_padding_sentinels_are_no_data(padding: float) -> None:
    values = np.concatenate([float32([padding] * 10), normal(1000)])
    seen, plain = observed(values), observed(normal(1000))
    assert (seen.low, seen.high) == (plain.low, plain.high)
    assert np.array_equal(seen.distribution.counts, plain.distribution.counts)


def test_a_large_honest_value_is_data() -> None:
    seen = observed(float32([0.0, 1e38, -3.0e38]))
    assert (seen.low, seen.high) == (float(np.float32(-3.0e38)), float(np.float32(1e38)))
    assert SENTINEL > 3.38e38


def test_nothing_but_sentinels_is_nothing() -> None:
    seen = observed(np.full(5, np.finfo(np.float32).min, np.float32), np.empty(0, np.float32))
    assert (seen.low, seen.high) == (0.0, 0.0)
    assert seen.distribution.counts.size == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named(bad: float) -> None:
    values = normal(200_000)
    values[199_999] = bad
    with pytest.raises(OptimizationFailed, match=r"'conv' is not finite on image 0\.jpg") as caught:
        observed(values)
    assert "1" in caught.value.found


def test_other_float_types_and_layouts_are_taken() -> None:
    values = normal(64).reshape(8, 8)
    wide = Observer()
    wide.add(values.astype(np.float64).T, tensor="conv", image="i", turn=0)
    assert (wide.low, wide.high) == (float(values.min()), float(values.max()))


def test_memory_is_that_of_the_octaves_met() -> None:
    histogram = Histogram()
    for seed in range(50):
        histogram.add(np.float32(1.0) + np.abs(normal(1000, seed)).clip(0, 0.99))
    assert list(histogram._octaves) == [127]  # sign 0, exponent of 1..2
