"""As few float32 layers as bring the expected noise of every output below a limit."""

from __future__ import annotations

import math

import pytest

from phoneproof.core.optimization import LayerDamage
from phoneproof.optimize.islands import expected_db, fewest


def layer(name: str, boxes: float, scores: float) -> LayerDamage:
    by_output = (("boxes", boxes), ("scores", scores))
    return LayerDamage(
        layer=name, op="conv", macs=0.1, damage=(boxes + scores) / 2, by_output=by_output
    )


LAYERS = (
    layer("stem", 1e-7, 8e-6),
    layer("middle", 1e-7, 1e-6),
    layer("box head", 4e-6, 0.0),
    layer("score head", 0.0, 1e-7),
)


def test_the_output_that_is_worst_off_counts() -> None:
    assert expected_db(LAYERS) == pytest.approx(-10 * math.log10(9.1e-6))
    assert expected_db(LAYERS, ("stem",)) == pytest.approx(-10 * math.log10(4.1e-6))
    assert expected_db(()) == math.inf


def test_layers_are_taken_for_the_output_that_needs_it() -> None:
    assert fewest(LAYERS, 50.0) == ()
    assert fewest(LAYERS, 52.0) == ("stem",)
    assert fewest(LAYERS, 55.0) == ("stem", "box head")
    assert fewest(LAYERS, 62.0) == ("stem", "box head", "middle")


def test_what_cannot_be_reached_takes_all_layers() -> None:
    assert set(fewest(LAYERS, 400.0)) == {"stem", "middle", "box head", "score head"}
