"""The parent's side of a step: one worker process, watched, timed and never left behind.

A converter that aborts, leaks or hangs costs one step, not the build.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from phoneproof.core import errors
from phoneproof.core.errors import ConversionFailed, PhoneproofError, StorageError
from phoneproof.core.events import Progress
from phoneproof.pipeline.step import Step
from phoneproof.pipeline.worker import Advance, Failure, Message, Success, send_step

_LOG_TAIL_LINES = 12
_decoder = msgspec.json.Decoder(Message)


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What the worker took: wall seconds and its peak resident set in bytes."""

    seconds: float
    peak_rss_bytes: int


class BuildStopped(ConversionFailed):
    """A step was ended because the whole build stops; what stopped it is told elsewhere."""


class WorkerPool:
    """Starts workers and can end them all (Ctrl-C, or a build that is already refused)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def run(
        self, step: Step, output: Path, log: Path, *, progress: Progress, timeout: float
    ) -> Usage:
        """Run one step in a process of its own and wait for it.

        Raises:
            PhoneproofError: what the step raised, or ConversionFailed where the process died,
                did not move for `timeout` seconds or raised an unexpected exception.
            BuildStopped: the pool was closed meanwhile.
        """
        started = time.monotonic()
        process = self._start(output, log)
        watchdog = _Watchdog(process, timeout)
        outcome: Message | None = None

        def advance(done: int, total: int) -> None:
            watchdog.reset()
            progress(done, total)

        try:
            outcome = self._converse(process, step, advance)
            process.wait()
        finally:
            watchdog.stop()
            self._end(process)
        if isinstance(outcome, Success):
            seconds = time.monotonic() - started
            return Usage(seconds=seconds, peak_rss_bytes=outcome.peak_rss_bytes)
        if isinstance(outcome, Failure):
            raise _rebuild(step, outcome, log)
        if self._closed:
            raise BuildStopped("the build is being stopped")
        raise _died(step, process.returncode, log, timeout if watchdog.fired else None)

    def close(self) -> None:
        """Kill every running worker; later runs fail at once."""
        with self._lock:
            self._closed = True
            running = tuple(self._running)
        for process in running:
            _kill(process)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        _kill(process)
        process.wait()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        with self._lock:
            self._running.discard(process)

    def _start(self, output: Path, log: Path) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise BuildStopped("the build is being stopped")
            try:
                process = subprocess.Popen(
                    [sys.executable, "-m", "phoneproof.pipeline.worker", str(output), str(log)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    env=_environment(),
                )
            except OSError as error:
                raise StorageError("a worker process cannot start", found=str(error)) from error
            self._running.add(process)
            return process

    @staticmethod
    def _converse(
        process: subprocess.Popen[bytes], step: Step, progress: Progress
    ) -> Message | None:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            send_step(process.stdin, step)
        outcome: Message | None = None
        with process.stdout as stdout:
            for line in stdout:
                message = _decoder.decode(line)
                if isinstance(message, Advance):
                    progress(message.done, message.total)
                else:
                    outcome = message
        return outcome


class _Watchdog:
    """Kills a worker that has not moved for a while; each sign of progress starts the time anew."""

    def __init__(self, process: subprocess.Popen[bytes], timeout: float) -> None:
        self._process = process
        self._timeout = timeout
        self.fired = False
        self._timer = self._start()

    def reset(self) -> None:
        """The worker moved."""
        self._timer.cancel()
        self._timer = self._start()

    def stop(self) -> None:
        """The worker is done."""
        self._timer.cancel()

    def _start(self) -> threading.Timer:
        timer = threading.Timer(self._timeout, self._bite)
        timer.daemon = True  # else an interrupt just now would keep the program for an hour
        timer.start()
        return timer

    def _bite(self) -> None:
        self.fired = True
        _kill(self._process)


def _environment() -> dict[str, str]:
    """The worker's environment. OpenMP threads of side-by-side workers must not spin while they
    wait for each other: on two cores that costs several times the work itself.
    """
    return {
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _rebuild(step: Step, failure: Failure, log: Path) -> PhoneproofError:
    kind = getattr(errors, failure.kind, None) if failure.kind else None
    if kind is None:
        last = failure.failed.strip().splitlines()[-1]
        return ConversionFailed(
            f"{step.name}: unexpected error",
            found=" | ".join((last, *_tail(log))),
            next_step=_where(log),
        )
    error: PhoneproofError = kind(failure.failed, found=failure.found, next_step=failure.next_step)
    return error


def _died(step: Step, code: int, log: Path, timeout: float | None) -> ConversionFailed:
    if timeout is not None:
        how = f"did not move for {timeout:.0f} s and was stopped"
    elif code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
    else:
        how = f"ended with code {code} and no result"
    return ConversionFailed(
        f"{step.name}: its process {how}",
        found=" | ".join(_tail(log)) or "nothing in its log",
        next_step=_where(log),
    )


def _tail(log: Path) -> list[str]:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return [line.strip() for line in lines[-_LOG_TAIL_LINES:] if line.strip()]


def _where(log: Path) -> str:
    """Commands that leave nothing behind work in a temporary folder, which goes with its logs."""
    scratch = Path(tempfile.gettempdir()).resolve()
    if log.resolve().is_relative_to(scratch) and log.parent.parent.name.startswith("phoneproof-"):
        return ""
    return f"the whole log is in {log}"
