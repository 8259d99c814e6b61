"""Every interpreted MIL operation against torch, in programs of one operation, over shapes,
strides, paddings, broadcasts and axes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phoneproof.runtimes.backends.mil_torch.operators import OPERATORS
from tests.integration.mil_axis_cases import AXIS_CASES
from tests.integration.mil_gather_cases import GATHER_CASES
from tests.integration.mil_number_cases import NUMBER_CASES
from tests.integration.mil_programs import Draw, differences
from tests.integration.mil_resize_cases import RESIZE_CASES
from tests.integration.mil_shape_cases import SHAPE_CASES
from tests.integration.mil_weight_cases import WEIGHT_CASES
from tests.integration.mil_window_cases import WINDOW_CASES

CASES = {
    **NUMBER_CASES,
    **WINDOW_CASES,
    **AXIS_CASES,
    **RESIZE_CASES,
    **SHAPE_CASES,
    **GATHER_CASES,
    **WEIGHT_CASES,
}


@pytest.mark.parametrize("op", CASES)
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_operation_equals_torch(op: str, data: st.DataObject) -> None:
    case = CASES[op](Draw(data))
    gaps, kinds = differences(case)
    assert op in kinds
    assert max(gaps) <= case.tolerance


@pytest.mark.parametrize(
    ("op", "wrong"), [("relu", "abs"), ("max_pool", "avg_pool"), ("reduce_max", "reduce_min")]
)
def test_the_comparison_sees_a_wrong_operation(
    op: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phoneproof.runtimes.backends.mil_torch import module

    monkeypatch.setattr(module, "OPERATORS", {**OPERATORS, op: OPERATORS[wrong]})
    seen: list[float] = []

    @settings(max_examples=6, deadline=None, derandomize=True, database=None)
    @given(data=st.data())
    def compare(data: st.DataObject) -> None:
        seen.extend(differences(CASES[op](Draw(data)))[0])

    compare()
    assert max(seen) > 0.01


def test_every_operation_of_the_table_has_a_case() -> None:
    assert set(OPERATORS) == set(CASES)
