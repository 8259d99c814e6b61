"""A hint fits what was done to the file."""

from __future__ import annotations

import pytest

from phoneproof.core.binding import Precision
from phoneproof.core.check import Check, CheckName, Verdict
from phoneproof.verify.evidence import HINTS
from phoneproof.verify.hints import CUT, MOVED, ROUNDED, with_fitting_hints


def check(name: CheckName, verdict: Verdict = "fail") -> Check:
    hint = "" if verdict == "pass" else HINTS[name]
    return Check(name=name, kind="margin", value=0.1, limit=0.01, n=8, verdict=verdict, hint=hint)


@pytest.mark.parametrize("name", ["top1_drop", "map50_95_drop", "small_recall_drop", "score_shift"])
@pytest.mark.parametrize(
    ("precision", "said"),
    [
        ("sparse", CUT),
        ("mixed", CUT),
        ("float32", MOVED),
        ("float16", MOVED),
        ("weight_only_wi8", ROUNDED),
        ("palette4", ROUNDED),
        ("dynamic_wi8", ROUNDED),
    ],
)
def test_nobody_is_told_to_calibrate_what_has_no_ranges(
    name: CheckName, precision: Precision, said: str
) -> None:
    (found,) = with_fitting_hints([check(name)], precision)
    assert found.hint == said
    assert "calibrat" not in found.hint


def test_integers_with_ranges_keep_theirs() -> None:
    (found,) = with_fitting_hints([check("top1_drop", "undecided")], "static_wi8_ai8")
    assert found.hint == HINTS["top1_drop"]


def test_what_passed_and_what_is_no_loss_stays_as_it_is() -> None:
    before = (check("top1_drop", "pass"), check("box_agreement"))
    assert with_fitting_hints(before, "sparse") == before
