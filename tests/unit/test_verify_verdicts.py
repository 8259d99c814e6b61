"""When checks allow an artifact to ship."""

from __future__ import annotations

import msgspec
import pytest

from phoneproof.core.check import Check, CheckKind, CheckName, Verdict
from phoneproof.verify.limits import Limits, limits_for
from phoneproof.verify.verdicts import accepted


def check(
    name: CheckName,
    verdict: Verdict,
    *,
    kind: CheckKind = "margin",
    value: float | None = 0.0,
    gating: bool = True,
    n: int = 100,
) -> Check:
    return Check(name=name, kind=kind, value=value, limit=0.01, n=n, verdict=verdict, gating=gating)


SNR = check("snr_db", "pass", kind="bounded")
AGREES = check("box_agreement", "pass", kind="bounded")
SHIFT = check("score_shift", "pass")


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ((SNR, SHIFT, check("top1_drop", "pass")), True),
        ((SNR, SHIFT, check("top1_drop", "undecided", value=0.009)), True),
        ((SNR, SHIFT, check("top1_drop", "undecided", value=0.011)), False),
        ((SNR, SHIFT, check("top1_drop", "undecided", value=None)), False),
        ((SNR, SHIFT, check("top1_drop", "fail", value=0.0)), False),
        ((check("snr_db", "fail", kind="bounded"), check("top1_drop", "pass")), False),
        ((check("snr_db", "undecided", kind="bounded"), check("top1_drop", "pass")), False),
        ((SNR, check("score_shift", "undecided", value=-0.004)), True),
        ((SNR, check("score_shift", "undecided", value=-0.006)), False),
        ((SNR, check("lost_share", "undecided", value=0.006, n=1000)), False),
        ((AGREES, check("score_shift", "undecided", value=-0.009)), True),
        ((AGREES, check("score_shift", "undecided", value=-0.011)), False),
        ((SNR, check("map50", "fail", gating=False)), True),
    ],
)
def test_accepted(checks: tuple[Check, ...], expected: bool) -> None:
    assert accepted(checks, Limits(box_agreement=1.0)) is expected


def test_agreement_that_stands_in_for_labels_does_not_excuse_a_distribution() -> None:
    limits = limits_for("static_wi8_ai8")
    assert accepted((AGREES, check("score_shift", "undecided", value=-0.004)), limits)
    assert not accepted((AGREES, check("score_shift", "undecided", value=-0.009)), limits)


@pytest.mark.parametrize(
    ("lost", "n", "expected"),
    [(1, 150, True), (2, 150, False), (1, 90, False), (1, 1000, True), (6, 1000, False)],
)
def test_one_lost_detection_inside_the_margin_is_no_proof(
    lost: int, n: int, expected: bool
) -> None:
    check_ = check("lost_share", "undecided", value=lost / n, n=n)
    assert accepted((AGREES, check_), limits_for("static_wi8_ai8")) is expected


def test_undecided_fail_demands_a_pass() -> None:
    undecided = (SNR, SHIFT, check("top1_drop", "undecided"))
    strict = Limits(undecided="fail")
    assert not accepted(undecided, strict)
    assert accepted((SNR, SHIFT, check("top1_drop", "pass")), strict)


def test_looser_precisions_have_looser_limits() -> None:
    exact, half = limits_for("float32"), limits_for("float16")
    integer = limits_for("static_wi8_ai8")
    assert (exact.max_abs, half.max_abs, integer.max_abs) == (1e-3, 1e-2, None)
    assert (exact.snr_db, half.snr_db, integer.snr_db) == (60, 45, None)
    assert integer.top1_drop == 0.01
    assert limits_for("mixed") == integer


def test_an_unknown_limit_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="top1_dorp"):
        msgspec.json.decode(b'{"top1_dorp": 0.1}', type=Limits)
