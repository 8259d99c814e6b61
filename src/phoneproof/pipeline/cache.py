"""The content-addressed cache: a finished step's folder, under the hash of what it depends on.

Layout of the workspace (``.phoneproof/`` beside ``phoneproof.toml``)::

    steps/<key>/        results, each with its step.json; complete or absent
    work/<key>/         being written; what an interrupted build left is removed by the next
    logs/<key>.log      what libraries printed
    lock                held by the running build
"""

from __future__ import annotations

import contextlib
import fcntl
import resource
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from phoneproof.core.errors import PhoneproofError, StorageError
from phoneproof.core.events import Event, Listener
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.pipeline.process import BuildStopped, Usage, WorkerPool
from phoneproof.pipeline.step import RunsHere, Step, StepRecord, StepResult, step_key, tool_versions

STEP_TIMEOUT_SECONDS = 3600.0
"""A step that has not moved for an hour is hung: the largest models here convert in minutes."""


class StepCache:
    """Runs steps through worker processes, each at most once; one at a time for a workspace."""

    def __init__(
        self,
        workspace: Path,
        pool: WorkerPool,
        listener: Listener,
        *,
        workers: int = 1,
        timeout: float = STEP_TIMEOUT_SECONDS,
    ) -> None:
        self._steps = workspace / "steps"
        self._work = workspace / "work"
        self._logs = workspace / "logs"
        self._pool = pool
        self.listener = listener
        self._timeout = timeout
        self._slots = threading.BoundedSemaphore(workers)
        self._peaks: list[int] = []
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        with storage_errors(workspace):
            for folder in (self._steps, self._work, self._logs):
                folder.mkdir(parents=True, exist_ok=True)
            self._sweep()

    @property
    def peak_rss_bytes(self) -> int:
        """The largest resident set of any step's process so far, cached ones included."""
        return max(self._peaks, default=0)

    def result(self, step: Step, listener: Listener | None = None) -> StepResult:
        """The step's result: from the cache, or made now in a worker process.

        Args:
            listener: hears of this step instead of the cache's own.

        Raises:
            PhoneproofError: what the step raised; nothing half-written stays.
        """
        key = step_key(step)
        hears = listener or self.listener
        with self._lock_of(key):
            return self._found(step, key, hears) or self._made(step, key, hears)

    def _lock_of(self, key: str) -> threading.Lock:
        """Two threads that want the same result: the second finds what the first made."""
        with self._guard:
            return self._locks.setdefault(key, threading.Lock())

    def _found(self, step: Step, key: str, listener: Listener) -> StepResult | None:
        folder = self._steps / key
        if not (folder / "step.json").is_file():
            return None
        listener(Event(step=step.name, state="cached"))
        record = parse((folder / "step.json").read_bytes(), StepRecord, what="step record")
        self._peaks.append(record.peak_rss_bytes)
        return StepResult(folder=folder, record=record, cached=True)

    def _made(self, step: Step, key: str, listener: Listener) -> StepResult:
        folder = self._steps / key
        try:
            with self._slots:
                listener(Event(step=step.name, state="started"))
                record = self._make(step, key, folder, listener)
        except BuildStopped:
            raise
        except PhoneproofError as error:
            listener(Event(step=step.name, state="failed", message=error.failed))
            raise
        self._peaks.append(record.peak_rss_bytes)
        listener(Event(step=step.name, state="finished", message=f"{record.seconds:.1f} s"))
        return StepResult(folder=folder, record=record, cached=False)

    def _make(self, step: Step, key: str, folder: Path, listener: Listener) -> StepRecord:
        work = self._work / key
        log = self._logs / f"{key}.log"
        with storage_errors(self._work):
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            log.unlink(missing_ok=True)
        try:
            usage = self._run(step, work, log, listener)
            record = StepRecord(
                name=step.name,
                key=key,
                seconds=round(usage.seconds, 3),
                peak_rss_bytes=usage.peak_rss_bytes,
                tools=tool_versions(step.tools),
            )
            with storage_errors(folder):
                (work / "step.json").write_bytes(pretty_bytes(record))
                work.replace(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return record

    def _run(self, step: Step, work: Path, log: Path, listener: Listener) -> Usage:
        progress = _Forward(step.name, listener)
        if isinstance(step, RunsHere):
            started = time.monotonic()
            step.run(work, progress)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            return Usage(seconds=time.monotonic() - started, peak_rss_bytes=peak)
        return self._pool.run(step, work, log, progress=progress, timeout=self._timeout)

    def _sweep(self) -> None:
        """Whoever opens the cache holds the workspace's lock, so nobody writes there now.

        Process ids would not do: in containers a new build often has that of a dead one.
        """
        for work in self._work.iterdir():
            shutil.rmtree(work, ignore_errors=True)


class _Forward:
    """A Progress that tells the build's listener which step advances."""

    def __init__(self, name: str, listener: Listener) -> None:
        self._name = name
        self._listener = listener

    def __call__(self, done: int, total: int) -> None:
        self._listener(Event(step=self._name, state="progress", done=done, total=total))


@contextlib.contextmanager
def storage_errors(place: Path) -> Iterator[None]:
    """Map the operating system's refusal to write onto StorageError."""
    try:
        yield
    except OSError as error:
        raise StorageError.of(f"{place} cannot be written", error) from error


@contextlib.contextmanager
def workspace_lock(workspace: Path) -> Iterator[None]:
    """Hold the workspace for one build.

    Raises:
        StorageError: another build holds it, or it cannot be written.
    """
    with storage_errors(workspace):
        workspace.mkdir(parents=True, exist_ok=True)
        stream = (workspace / "lock").open("w")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StorageError(
                "another build is running here",
                found=str(workspace),
                next_step="wait for it, or stop it",
            ) from error
        yield
