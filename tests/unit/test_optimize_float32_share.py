"""What a float16 recipe may ask of formats that only store float16."""

from __future__ import annotations

import pytest

from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.recipe import Dynamic, Float16, Recipe
from phoneproof.optimize.float32_share import float32_share


def test_the_share_is_what_the_recipe_says() -> None:
    assert float32_share(Float16(float32_share=0.25)) == 0.25


@pytest.mark.parametrize(
    ("recipe", "word"),
    [(Dynamic(), "Dynamic"), (Float16(float32_share=0.0, float_layers=("stem",)), "stem")],
)
def test_what_would_be_ignored_is_refused(recipe: Recipe, word: str) -> None:
    with pytest.raises(OptimizationFailed) as failure:
        float32_share(recipe)
    assert word in failure.value.found
