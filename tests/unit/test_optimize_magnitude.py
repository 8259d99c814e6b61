"""Which weights go to zero: by the formula, in the right number, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.binding import Binding, InputBinding, Precision
from phoneproof.core.contract import Contract, ImageInput
from phoneproof.core.errors import InvalidInput, OptimizationFailed
from phoneproof.core.recipe import Recipe, Sparse, WeightOnly
from phoneproof.optimize.base import OptimizeRequest
from phoneproof.optimize.magnitude import layer_scores, smallest, sparse_share, zeroed

Weights = NDArray[np.float32]


def layers(seed: int = 1) -> dict[str, Weights]:
    """A first layer, a large one, one that is a thousand times smaller, one of few weights."""
    random = np.random.default_rng(seed)
    return {
        "first": random.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "large": random.normal(size=(40, 30)).astype(np.float32),
        "faint": (random.normal(size=(20, 30)) / 1000).astype(np.float32),
        "few": random.normal(size=(1, 3, 3, 4)).astype(np.float32),
    }


def zeros(weights: Mapping[str, Weights]) -> int:
    return sum(int((one == 0).sum()) for one in weights.values())


def test_a_score_is_the_square_over_those_not_smaller() -> None:
    weights = np.array([[3.0, -1.0], [0.0, 2.0]], np.float32)
    assert layer_scores(weights) == pytest.approx([1.0, 1 / 14, 0.0, 4 / 13])


def test_a_layer_of_zeros_has_no_score() -> None:
    assert not layer_scores(np.zeros((2, 3), np.float32)).any()


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.99])
def test_as_many_as_were_asked_for(share: float) -> None:
    before = layers()
    after = zeroed(before, share)
    total = sum(one.size for name, one in before.items() if name != "first")
    assert zeros(after) == round(share * total)
    assert set(after) == {"large", "faint", "few"}
    for name, weights in after.items():
        assert weights.shape == before[name].shape
        assert np.array_equal(weights[weights != 0], before[name][weights != 0])


def test_of_a_layer_the_smallest_go() -> None:
    before = layers()
    for name, weights in zeroed(before, 0.5).items():
        gone = np.abs(before[name][weights == 0])
        stays = np.abs(weights[weights != 0])
        assert not gone.size or gone.max() <= stays.min()


def test_a_faint_layer_is_not_emptied_and_a_small_one_spared() -> None:
    """A threshold on plain magnitudes would take all of the faint layer before anything else."""
    after = zeroed(layers(), 0.3)
    shares = {name: float((one == 0).mean()) for name, one in after.items()}
    assert 0.1 < shares["faint"] < 0.6
    assert shares["few"] < shares["large"]


def test_equal_scores_go_in_order() -> None:
    (gone,) = smallest([np.ones((2, 4), np.float32)], 0.5)
    assert gone.sum() == 4
    again = smallest([np.ones((2, 4), np.float32)], 0.5)[0]
    assert np.array_equal(gone, again)


def test_zeros_that_are_there_count() -> None:
    weights = {"first": np.ones((2, 2), np.float32), "other": np.eye(4, dtype=np.float32)}
    assert np.array_equal(zeroed(weights, 0.5)["other"], weights["other"])


@pytest.mark.parametrize("names", [(), ("first",)])
def test_nothing_that_may_go_is_said(names: tuple[str, ...]) -> None:
    few = {name: weights for name, weights in layers().items() if name in names}
    with pytest.raises(OptimizationFailed, match="no weights that may be set to zero") as caught:
        zeroed(few, 0.5)
    assert f"{len(names)} layers" in caught.value.found


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_is_named(value: float) -> None:
    spoilt = layers()
    spoilt["faint"][0, 0] = value
    with pytest.raises(OptimizationFailed, match="'faint' are not finite"):
        zeroed(spoilt, 0.5)


def asked(recipe: Recipe, precision: Precision = "float32") -> OptimizeRequest:
    image = ImageInput(
        geometry=(), size=(4, 4), scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
    )
    return OptimizeRequest(
        artifact=Path("model.tflite"),
        contract=Contract(name="tiny", task="raw", inputs=(image,)),
        binding=Binding(
            contract="c",
            format="tflite",
            precision=precision,
            inputs=(InputBinding(tensor="image", shape=(1, 4, 4, 3), layout="NHWC"),),
            outputs=(),
        ),
        recipe=recipe,
        output=Path("candidate.tflite"),
    )


def test_the_share_of_a_recipe() -> None:
    assert sparse_share(asked(Sparse(share=0.7))) == 0.7


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_shares_that_are_none(share: float) -> None:
    with pytest.raises(OptimizationFailed, match="between 0 and 1"):
        sparse_share(asked(Sparse(share=share)))


def test_another_recipe_and_another_source_are_refused() -> None:
    with pytest.raises(OptimizationFailed):
        sparse_share(asked(WeightOnly()))
    with pytest.raises(InvalidInput, match="no float32 model"):
        sparse_share(asked(Sparse(share=0.5), "sparse"))
