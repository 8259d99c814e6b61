"""A step costs at most itself: aborts, hangs, refusals and full disks leave nothing behind."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from phoneproof.core.errors import (
    ConversionFailed,
    PhoneproofError,
    StorageError,
    Unsupported,
)
from phoneproof.core.events import Event
from phoneproof.pipeline.cache import StepCache, workspace_lock
from phoneproof.pipeline.process import BuildStopped, WorkerPool
from tests.integration.pipeline_probes import ProbeStep


def _cache(workspace: Path, events: list[Event], timeout: float = 60.0) -> StepCache:
    return StepCache(workspace, WorkerPool(), events.append, timeout=timeout)


def _leftovers(workspace: Path) -> list[str]:
    return [p.name for folder in ("steps", "work") for p in (workspace / folder).iterdir()]


def test_a_step_runs_once(tmp_path: Path) -> None:
    events: list[Event] = []
    marker = tmp_path / "marker"
    step = ProbeStep(marker=marker)
    first = _cache(tmp_path / "w", events).result(step)
    second = _cache(tmp_path / "w", events).result(step)
    assert (first.folder / "text.txt").read_text() == "result"
    assert (first.cached, second.cached) == (False, True)
    assert second.record == first.record
    assert first.record.peak_rss_bytes > 1 << 20
    assert marker.read_text() == "ran\n"
    assert events[0].state == "started"
    assert any(e.state == "progress" and (e.done, e.total) == (3, 3) for e in events)
    assert events[-1].state == "cached"


def test_two_threads_that_want_one_step_get_one_result(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    cache = StepCache(tmp_path / "w", WorkerPool(), lambda event: None, workers=2)
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(cache.result, [ProbeStep(marker=marker)] * 2))
    assert results[0].folder == results[1].folder
    assert sorted(result.cached for result in results) == [False, True]
    assert marker.read_text() == "ran\n"


def test_a_step_that_moves_is_not_stopped(tmp_path: Path) -> None:
    done = _cache(tmp_path, [], timeout=3.0).result(ProbeStep(behaviour="slow"))
    assert done.record.seconds > 4


def test_another_identity_is_another_result(tmp_path: Path) -> None:
    cache = _cache(tmp_path, [])
    one, two = cache.result(ProbeStep(text="one")), cache.result(ProbeStep(text="two"))
    assert one.folder != two.folder
    assert (two.folder / "text.txt").read_text() == "two"


@pytest.mark.parametrize(
    ("behaviour", "kind", "words"),
    [
        ("abort", ConversionFailed, "SIGABRT"),
        ("exit", ConversionFailed, "code 3"),
        ("refuse", Unsupported, "Einsum"),
        ("bug", ConversionFailed, "forgotten"),
        ("full", StorageError, "No space left"),
    ],
)
def test_a_failing_step_leaves_nothing(
    tmp_path: Path, behaviour: str, kind: type[PhoneproofError], words: str
) -> None:
    events: list[Event] = []
    with pytest.raises(kind, match=words) as caught:
        _cache(tmp_path, events).result(ProbeStep(behaviour=behaviour))
    assert type(caught.value) is kind
    assert _leftovers(tmp_path) == []
    assert events[-1].state == "failed"


def test_a_hanging_step_is_stopped(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ConversionFailed, match="did not move for 2 s"):
        _cache(tmp_path, [], timeout=2.0).result(ProbeStep(behaviour="hang"))
    assert time.monotonic() - started < 30
    assert _leftovers(tmp_path) == []


def test_closing_the_pool_ends_what_runs(tmp_path: Path) -> None:
    pool = WorkerPool()
    events: list[Event] = []
    cache = StepCache(tmp_path, pool, events.append)
    threading.Timer(1.0, pool.close).start()
    with pytest.raises(BuildStopped):
        cache.result(ProbeStep(behaviour="hang"))
    with pytest.raises(BuildStopped):
        cache.result(ProbeStep())
    assert _leftovers(tmp_path) == []
    # What stopped the build is told elsewhere: a killed worker is not one more failure.
    assert {event.state for event in events} == {"started"}


def test_what_a_killed_build_left_is_swept(tmp_path: Path) -> None:
    _cache(tmp_path, [])
    left = tmp_path / "work" / "0123"
    left.mkdir()
    (left / "half.txt").write_text("half-written")
    _cache(tmp_path, [])
    assert _leftovers(tmp_path) == []


def test_two_builds_do_not_share_a_workspace(tmp_path: Path) -> None:
    with (
        workspace_lock(tmp_path),
        pytest.raises(StorageError, match="another build"),
        workspace_lock(tmp_path),
    ):
        pass
