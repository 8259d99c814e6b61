from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from phoneproof.core.binding import DType
from phoneproof.core.errors import Unsupported
from phoneproof.core.json_format import pretty_bytes
from phoneproof.core.tensors import TensorSpec
from phoneproof.pipeline.latency_step import LATENCY, LatencyStep, latency
from phoneproof.runtimes.base import Tensor, Tensors
from phoneproof.runtimes.latency import LEAST_RUNS, WARM_UP, Latency, measure_latency


class Clockwork:
    """A session whose runs take given seconds on a clock of its own."""

    def __init__(
        self, seconds: list[float], shape: tuple[int, ...] = (1, 4), dtype: DType = "float32"
    ) -> None:
        self.now = 0.0
        self.seconds = seconds
        self.fed: list[Tensor] = []
        self.inputs = (TensorSpec(name="x", shape=shape, dtype=dtype),)
        self.outputs = (TensorSpec(name="y", shape=(1,), dtype="float32"),)

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        self.now += self.seconds[min(len(self.fed), len(self.seconds) - 1)]
        self.fed.append(tensors["x"])
        return {"y": np.zeros(1, np.float32)}

    def clock(self) -> float:
        return self.now


def test_warm_up_is_not_counted_and_p95_is_the_nearest_rank() -> None:
    slow_start = [9.0] * WARM_UP
    session = Clockwork([*slow_start, *[at / 1000 for at in range(1, 21)]])
    found = measure_latency(session, runs=20, budget=100.0, clock=session.clock)
    assert found.runs == 20
    assert found.median_ms == pytest.approx(10.5)
    assert found.p95_ms == pytest.approx(19.0)


def test_a_slow_model_stops_at_the_budget_but_is_timed_at_least_a_few_times() -> None:
    session = Clockwork([2.0])
    found = measure_latency(session, budget=1.0, clock=session.clock)
    assert found.runs == LEAST_RUNS
    assert len(session.fed) == LEAST_RUNS + 1
    assert found.median_ms == pytest.approx(2000.0)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8", "int32", "int64", "bool"])
def test_the_input_is_noise_of_the_inputs_type(dtype: DType) -> None:
    session = Clockwork([0.001], shape=(-1, 8, 8), dtype=dtype)
    measure_latency(session, runs=3, clock=session.clock)
    fed = session.fed[0]
    assert fed.dtype == np.dtype(dtype)
    assert fed.shape == (1, 8, 8)
    assert len(np.unique(fed)) > 1
    again = Clockwork([0.001], shape=(-1, 8, 8), dtype=dtype)
    measure_latency(again, runs=3, clock=again.clock)
    assert np.array_equal(fed, again.fed[0])


def test_an_open_size_is_refused() -> None:
    session = Clockwork([0.001], shape=(1, -1, 8))
    with pytest.raises(Unsupported, match="open size"):
        measure_latency(session, clock=session.clock)


def test_the_step_depends_on_the_file_alone(tmp_path: Path) -> None:
    step = LatencyStep(label="a", format="tflite", artifact=tmp_path / "a", artifact_sha256="1f")
    moved = LatencyStep(label="b", format="tflite", artifact=tmp_path / "b", artifact_sha256="1f")
    other = LatencyStep(label="a", format="tflite", artifact=tmp_path / "a", artifact_sha256="2f")
    assert step.identity() == moved.identity() != other.identity()
    assert step.name == "time a"
    kept = Latency(median_ms=1.5, p95_ms=2.0, runs=9)
    (tmp_path / LATENCY).write_bytes(pretty_bytes(kept))
    assert latency(tmp_path) == kept
