"""Weights in few bits, and what they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from phoneproof.optimize.weight_codes import SMALLEST_SCALE, by_block, by_channel, palette

DTYPES = (np.float32, np.float16)


def normal(shape: tuple[int, ...], dtype: type[Any] = np.float32) -> NDArray[Any]:
    return (np.random.default_rng(3).standard_normal(shape) * 0.1).astype(dtype)


def snr_db(weights: NDArray[Any], coded: NDArray[Any]) -> float:
    error = coded.astype(np.float64) - weights.astype(np.float64)
    return float(
        10 * np.log10(np.square(weights.astype(np.float64)).sum() / np.square(error).sum())
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_int8_is_off_by_half_a_step_of_its_channel(dtype: type[Any], axis: int) -> None:
    weights = normal((6, 5, 3, 3), dtype)
    weights[2] *= dtype(0.01)  # a channel with a range of its own
    coded = by_channel(weights, axis)
    assert coded.codes.min() >= -127
    assert np.abs(coded.codes).max() == 127
    assert coded.scale.shape == tuple(
        6 if axis == a == 0 else 5 if axis == a else 1 for a in range(4)
    )
    error = np.abs(coded.weights.astype(np.float64) - weights.astype(np.float64))
    ulp = 2.0**-10 if dtype is np.float16 else 2.0**-22  # products are rounded to the dtype
    assert (error <= 0.5 * coded.scale + ulp * np.abs(weights)).all()


def test_a_scale_that_hardware_takes_for_zero_is_not_written() -> None:
    weights = np.array([[1e-6, -2e-6], [1.0, 0.5]], np.float16)
    coded = by_channel(weights, 0)
    assert coded.scale.dtype == np.float16
    assert coded.scale.min() >= np.float16(SMALLEST_SCALE)
    assert coded.codes[0].tolist() == [0, 0]


def test_blocks_have_scales_of_their_own() -> None:
    weights = normal((4, 64, 1, 1))
    weights[:, :32] *= 100
    coded = by_block(weights, 0, 1, 32)
    assert coded.scale.shape == (4, 2, 1, 1)
    assert np.abs(coded.codes).max() == 7
    assert snr_db(weights[:, 32:], coded.weights[:, 32:]) > 15
    whole = by_block(weights, 0, 1, 48)  # does not divide: one block
    assert whole.scale.shape == (4, 1, 1, 1)
    assert snr_db(weights[:, 32:], whole.weights[:, 32:]) < 3


@pytest.mark.parametrize(("bits", "least"), [(4, 19.9), (6, 31.3)])
def test_palettes_come_near_the_best_there_are(bits: int, least: float) -> None:
    """Max (1960) gives 20.22 dB for 16 levels of a normal distribution; 31.9 dB for 64."""
    weights = normal((200, 300))
    coded = palette(weights, bits)
    assert coded.palette.shape == (1 << bits,)
    assert snr_db(weights, coded.weights) > least


def test_palettes_reach_weights_that_lie_far_out() -> None:
    """max / rms of 20: a table over the range would leave most weights one value."""
    weights = np.random.default_rng(5).laplace(size=50_000).astype(np.float32)
    weights[0] = 30.0
    assert snr_db(weights, palette(weights, 4).weights) > 17.5
    assert snr_db(weights, palette(weights, 6).weights) > 28.5


def test_few_values_are_kept_exactly() -> None:
    weights = np.array([[0.5, -1.0], [0.0, 0.5]], np.float32)
    coded = palette(weights, 4)
    np.testing.assert_array_equal(coded.weights, weights)
    assert np.ptp(np.diff(coded.palette)[2:]) == 0


def test_two_entries_exchanged_are_seen() -> None:
    weights = normal((64, 64))
    coded = palette(weights, 4)
    table = coded.palette.copy()
    table[[3, 12]] = table[[12, 3]]
    assert snr_db(weights, table[coded.indices]) < snr_db(weights, coded.weights) - 10


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=3, max_side=6),
        elements=st.floats(-8, 8, width=16),
    )
)
def test_any_weights_are_coded_within_their_range(weights: NDArray[np.float32]) -> None:
    coded = palette(weights, 4)
    assert np.all(np.diff(coded.palette) >= 0)
    assert coded.weights.min() >= weights.min()
    assert coded.weights.max() <= weights.max()
    np.testing.assert_array_equal(coded.indices, palette(weights, 4).indices)
    channels = by_channel(weights, 0)
    assert np.isfinite(channels.weights).all()
    assert np.abs(channels.weights - weights).max() <= np.abs(weights).max() / 127 + 1e-6
