"""The child's side of a step: ``python -m phoneproof.pipeline.worker OUTPUT LOG``.

The pickled step comes on standard input from the parent (never from a file), events and the
outcome go back as JSON lines on the original standard output; everything that libraries print
goes to the log. Standard input stays open as long as the parent lives: its end ends the worker.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import pickle
import resource
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

import msgspec

from phoneproof.core.errors import MissingExtra, PhoneproofError, StorageError
from phoneproof.pipeline.step import Step

_SECONDS_BETWEEN_EVENTS = 0.1
_LENGTH = struct.Struct("<Q")
_SET_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of Linux's prctl(2)."""
_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
"""What only a write meets; a file that is missing is no matter of the disk."""


class Advance(msgspec.Struct, frozen=True, kw_only=True, tag="advance"):
    """Progress within the step."""

    done: int
    total: int


class Success(msgspec.Struct, frozen=True, kw_only=True, tag="success"):
    """The step is done; `peak_rss_bytes` of this process and its children."""

    peak_rss_bytes: int


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag="failure"):
    """The step raised. `kind`: the error's class name, "" for a bug (then `failed` is its text)."""

    kind: str
    failed: str
    found: str = ""
    next_step: str = ""


Message = Advance | Success | Failure


def send_step(stream: IO[bytes], step: Step) -> None:
    """The parent's half of `_receive_step`: the pickle behind its length; the stream stays open."""
    data = pickle.dumps(step)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def main() -> int:
    """Run one step; the exit code only says whether an outcome was sent."""
    output, log = Path(sys.argv[1]), Path(sys.argv[2])
    step = _receive_step(sys.stdin.buffer)
    _die_with_parent()
    channel = os.fdopen(os.dup(1), "wb")
    try:
        _redirect(log)
    except OSError as error:
        outcome: Message = _failure(error, log)
    else:
        outcome = _run(step, output, channel)
    _send(channel, outcome)
    channel.flush()
    # A library's exit handlers can abort after the work is done; the outcome is already out.
    os._exit(0)


def _receive_step(stream: BinaryIO) -> Step:
    (length,) = _LENGTH.unpack(stream.read(_LENGTH.size))
    step: Step = pickle.loads(stream.read(length))
    return step


def _die_with_parent() -> None:
    """A killed build leaves no worker: nobody else would end a converter that runs for minutes."""
    threading.Thread(target=_wait_for_parent, name="parent", daemon=True).start()
    if sys.platform == "linux":
        # The thread alone would be late where a library holds the interpreter's lock.
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _wait_for_parent() -> None:
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)


def _redirect(log: Path) -> None:
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(stream, 1)
    os.dup2(stream, 2)


def _run(step: Step, output: Path, channel: BinaryIO) -> Message:
    last = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done == total or now - last > _SECONDS_BETWEEN_EVENTS:
            last = now
            _send(channel, Advance(done=done, total=total))
            channel.flush()

    try:
        step.run(output, progress)
    except Exception as error:
        return _failure(error, output)
    finally:
        _log(None)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return Success(peak_rss_bytes=max(_own_peak(), children) * 1024)


def _own_peak() -> int:
    """The peak resident set of this process, KiB.

    ``ru_maxrss`` of Linux survives exec(2) and so counts the parent's memory too; VmHWM of
    proc(5) begins anew.
    """
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _failure(error: Exception, place: Path) -> Failure:
    """What the parent is told. A disk that is full is the reason, whatever a library made of it."""
    text = "".join(traceback.format_exception(error))
    _log(text)
    refused = next((one for one in _chain(error) if isinstance(one, OSError)), None)
    if refused is not None and refused.errno in _STORAGE and not isinstance(error, StorageError):
        error = StorageError.of(f"{place.parent} cannot be written", refused)
    if isinstance(error, ModuleNotFoundError):
        error = MissingExtra.from_import(error) or error
    if isinstance(error, PhoneproofError):
        return Failure(
            kind=type(error).__name__,
            failed=error.failed,
            found=error.found,
            next_step=error.next_step,
        )
    return Failure(kind="", failed=text)


def _log(text: str | None) -> None:
    """Write to the log as far as the disk takes it."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        if text is not None:
            sys.stderr.write(text)
        sys.stderr.flush()


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it was raised from or while handling."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _send(channel: BinaryIO, message: Message) -> None:
    channel.write(msgspec.json.encode(message) + b"\n")


if __name__ == "__main__":
    sys.exit(main())
