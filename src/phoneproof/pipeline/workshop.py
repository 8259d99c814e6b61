"""Running independent steps side by side, and stopping them all when the build stops."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from phoneproof.core.events import Listener, silence
from phoneproof.pipeline.cache import STEP_TIMEOUT_SECONDS, StepCache, workspace_lock
from phoneproof.pipeline.process import WorkerPool
from phoneproof.pipeline.step import Step, StepResult

T = TypeVar("T")

_THREADS = 32
"""Threads only wait for worker processes and for each other; the cache bounds the workers."""


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """The cache, the threads that wait for its steps, and who hears what happens."""

    cache: StepCache
    _threads: ThreadPoolExecutor
    listener: Listener = silence

    def start(self, step: Step, listener: Listener | None = None) -> Future[StepResult]:
        """Begin a step; its result or its error is in the future."""
        return self._threads.submit(self.cache.result, step, listener)

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Begin a chain of steps that waits for others."""
        return self._threads.submit(function)


def side_by_side() -> int:
    """How many workers run at once: each keeps one to two cores busy and up to 2 GB of memory."""
    return max(1, min(4, os.cpu_count() or 1))


@contextmanager
def open_workshop(
    workspace: Path, listener: Listener, *, timeout: float = STEP_TIMEOUT_SECONDS
) -> Iterator[Workshop]:
    """Hold the workspace for one build; on any exception every worker is ended at once."""
    pool = WorkerPool()
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="step")
    with workspace_lock(workspace):
        cache = StepCache(workspace, pool, listener, workers=side_by_side(), timeout=timeout)
        try:
            yield Workshop(cache=cache, _threads=threads, listener=listener)
        finally:
            pool.close()
            threads.shutdown(wait=True, cancel_futures=True)
