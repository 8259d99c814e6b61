"""Outputs that a format calls by an identifier are still the baseline's; others are not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.errors import VerificationFailed
from phoneproof.verify.bounded import compare_roles

Array = NDArray[np.float64]
ONE: Array = np.arange(3, dtype=np.float64)
TWO: Array = 7 * ONE


def apart(baseline: dict[str, Array], candidate: dict[str, Array]) -> dict[str, float]:
    rows = compare_roles("a.jpg", "1" * 64, baseline, candidate)
    return {row.role: row.max_abs for row in rows}


def test_slashes_may_have_become_underscores() -> None:
    baseline = {"net/out": ONE, "net/out:1": TWO}
    assert apart(baseline, {"net_out": ONE, "net_out_1": TWO}) == dict.fromkeys(baseline, 0.0)
    swapped = apart(baseline, {"net_out": TWO, "net_out_1": ONE})
    assert swapped == dict.fromkeys(baseline, 12.0)


def test_slices_keep_their_place() -> None:
    baseline = {"net/out[0:3]": ONE, "net/out[3:6]": TWO}
    assert apart(baseline, {"net_out[0:3]": ONE, "net_out[3:6]": TWO}) == {
        "net/out[0:3]": 0.0,
        "net/out[3:6]": 0.0,
    }


def test_names_that_fall_together_are_told_apart_by_their_order() -> None:
    baseline = {"a/b": ONE, "a:b": TWO}
    assert apart(baseline, {"a_b": ONE, "a_b_2": TWO}) == {"a/b": 0.0, "a:b": 0.0}


@pytest.mark.parametrize("name", ["net_in", "net_out_2", ""])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(VerificationFailed, match="not those of the baseline"):
        apart({"net/out": ONE}, {name: ONE})


def test_another_shape_is_refused() -> None:
    with pytest.raises(VerificationFailed, match="not those of the baseline"):
        apart({"net/out": ONE}, {"net_out": ONE[:2]})
