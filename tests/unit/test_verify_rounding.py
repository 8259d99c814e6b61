"""What float16 loses inside a file, as checks."""

from __future__ import annotations

from phoneproof.core.check import DatasetRef
from phoneproof.runtimes.float16_finding import Float16Finding
from phoneproof.verify.evidence import Setting
from phoneproof.verify.limits import limits_for
from phoneproof.verify.rounding import overflowing, rounding_checks
from phoneproof.verify.verdicts import accepted

SETTING = Setting(
    dataset=DatasetRef(hash="h", split="all"), runtime="MIL reference interpreter", device="cpu"
)
QUIET = Float16Finding(operation="stem", type="conv", values=100, largest=3.0)
FAINT = Float16Finding(operation="tail", type="mul", values=50, subnormals=7, vanished=5)
LOUD = Float16Finding(operation="louder", type="conv", values=200, overflows=9, largest=1.5e6)
LOUDER = Float16Finding(operation="loudest", type="conv", values=200, overflows=30, largest=9e6)


def test_numbers_that_become_infinite_refuse_the_file_and_name_the_operation() -> None:
    overflows, denormals = rounding_checks(SETTING, (QUIET, LOUD, LOUDER), 4)
    assert (overflows.verdict, overflows.value, overflows.n) == ("fail", 39, 4)
    assert overflows.gating
    assert "loudest (conv) 30 of 200, louder (conv) 9 of 200" in overflows.method
    assert "loudest reaches 9e+06" in overflows.hint
    assert not accepted((overflows, denormals), limits_for("float16", "coreml"))
    assert overflowing((QUIET, LOUD, LOUDER)) == ("louder", "loudest")


def test_a_file_without_overflow_passes() -> None:
    checks = rounding_checks(SETTING, (QUIET, FAINT), 4)
    assert (checks[0].verdict, checks[0].value, checks[0].hint) == ("pass", 0, "")
    assert checks[0].method == "counted in 150 float16 results of 2 operations"
    assert accepted(checks, limits_for("float16", "coreml"))
    assert overflowing((QUIET, FAINT)) == ()


def test_denormals_are_shown_and_refuse_nothing() -> None:
    _, denormals = rounding_checks(SETTING, (QUIET, FAINT), 4)
    assert (denormals.value, denormals.gating, denormals.verdict) == (12, False, "pass")
    assert "tail (mul) 12 of 50" in denormals.method


def test_only_the_worst_operations_are_named() -> None:
    many = tuple(
        Float16Finding(operation=f"op_{n}", type="conv", values=10, overflows=n)
        for n in range(1, 6)
    )
    overflows, _ = rounding_checks(SETTING, many, 1)
    assert "op_5" in overflows.method
    assert "and 2 more" in overflows.method
    assert "op_1" not in overflows.method
