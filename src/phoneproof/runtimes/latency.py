"""How long one inference takes on this host: an order of magnitude, never a phone's figure."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import numpy as np

from phoneproof.core.errors import Unsupported
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.base import Session, Tensor

RUNS: Final = 30
LEAST_RUNS: Final = 3
WARM_UP: Final = 3
BUDGET_SECONDS: Final = 5.0


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """median_ms, p95_ms: of `runs` inferences, milliseconds, by the monotonic clock."""

    median_ms: float
    p95_ms: float
    runs: int


def measure_latency(
    session: Session,
    *,
    runs: int = RUNS,
    budget: float = BUDGET_SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> Latency:
    """Time a session, opened for one thread, on one input of noise.

    Up to `WARM_UP` untimed runs come first, then up to `runs` timed ones; both stop early when
    the budget (seconds, of all of it together) is used up, but `LEAST_RUNS` are timed. The input
    is uniform noise of the input's type with a fixed seed: convolutions take as long for any
    picture. p95 is the smallest time that 95 % of the runs keep (nearest rank).

    Raises:
        Unsupported: an input whose size is open in more than the batch.
        InvalidInput: whatever the session says of the run.
    """
    feeds = {spec.name: _noise(spec) for spec in session.inputs}
    deadline = clock() + budget
    for _ in range(WARM_UP):
        session.run(feeds)
        if clock() >= deadline:
            break
    times: list[float] = []
    while len(times) < runs and (len(times) < LEAST_RUNS or clock() < deadline):
        times.append(_timed(session, feeds, clock))
    milliseconds = np.sort(np.asarray(times)) * 1e3
    rank = int(np.ceil(0.95 * len(times))) - 1
    return Latency(
        median_ms=float(np.median(milliseconds)),
        p95_ms=float(milliseconds[rank]),
        runs=len(times),
    )


def _timed(session: Session, feeds: Mapping[str, Tensor], clock: Callable[[], float]) -> float:
    start = clock()
    session.run(feeds)
    return clock() - start


def _noise(spec: TensorSpec) -> Tensor:
    """Uniform over [0, 1) for floats, over the type's own range for integers."""
    shape = tuple(1 if at == 0 and size == -1 else size for at, size in enumerate(spec.shape))
    if any(size < 0 for size in shape):
        raise Unsupported(
            f"input {spec.name!r} has an open size: there is nothing to time",
            found=str(spec.shape),
        )
    rng = np.random.default_rng(0)
    kind = np.dtype(spec.dtype)
    if kind.kind == "b":
        return rng.random(shape) < 0.5
    if kind.kind in "iu":
        limits = np.iinfo(spec.dtype)
        return rng.integers(limits.min, limits.max, shape, dtype=limits.dtype, endpoint=True)
    return rng.random(shape).astype(kind)
