"""The child's side of a step: ``python -m phoneproof.pipeline.worker OUTPUT LOG``.

The pickled step comes on standard input from the parent (never from a file), events and the
outcome go back as JSON lines on the original standard output; everything that libraries print
goes to the log.
"""

from __future__ import annotations

import os
import pickle
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import BinaryIO

import msgspec

from phoneproof.core.errors import PhoneproofError
from phoneproof.pipeline.step import Step

_SECONDS_BETWEEN_EVENTS = 0.1


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


def main() -> int:
    """Run one step; the exit code only says whether an outcome was sent."""
    output, log = Path(sys.argv[1]), Path(sys.argv[2])
    step: Step = pickle.load(sys.stdin.buffer)
    channel = _redirect(log)
    outcome = _run(step, output, channel)
    _send(channel, outcome)
    channel.flush()
    # A library's exit handlers can abort after the work is done; the outcome is already out.
    os._exit(0)


def _redirect(log: Path) -> BinaryIO:
    channel = os.fdopen(os.dup(1), "wb")
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    return channel


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
    except PhoneproofError as error:
        traceback.print_exc()
        return Failure(
            kind=type(error).__name__,
            failed=error.failed,
            found=error.found,
            next_step=error.next_step,
        )
    except OSError as error:
        traceback.print_exc()
        return Failure(kind="StorageError" if _is_storage(error) else "", failed=str(error))
    except Exception:
        text = traceback.format_exc()
        sys.stderr.write(text)
        return Failure(kind="", failed=text)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return Success(peak_rss_bytes=max(own, children) * 1024)


def _is_storage(error: OSError) -> bool:
    import errno

    return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}


def _send(channel: BinaryIO, message: Message) -> None:
    channel.write(msgspec.json.encode(message) + b"\n")


if __name__ == "__main__":
    sys.exit(main())
