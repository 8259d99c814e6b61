"""Builds in a process of their own that can be interrupted, and bundles compared without times."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from phoneproof.package.bundle import MANIFEST, REPORT, REPORT_PAGE

DONE = re.compile(r": (finished|cached)\b")
_RECORDED = {"created", "seconds", "peak_rss_bytes"}
_PAGE_TIMES = (
    re.compile(r"(?<=, built )[0-9T:+-]+"),
    re.compile(r"(?<=<li>built in <b>)[0-9.]+ (s|min|h)"),
    re.compile(r"(?<=”) in [0-9.]+ (ms|s|min|h)(?=; )"),
    re.compile(r"(?<=<dt>Peak memory</dt><dd>)[0-9.]+ [kMG]?B"),
)
"""Where the page shows a time or a memory, and nothing else."""


_LAUNCH = """
import os, resource, signal, sys
# A shell's background jobs ignore interrupts, and what they start inherits that.
signal.signal(signal.SIGINT, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.executable, [sys.executable, "-m", "phoneproof", *sys.argv[2:]])
"""
"""Set up in the new process itself: code between fork and exec upsets libraries with threads."""


class Build:
    """``phoneproof build`` in `folder`, in a session of its own; standard error in a file.

    largest_file: bytes beyond which the operating system refuses to write, as on a full disk.
    """

    def __init__(self, folder: Path, *arguments: str, largest_file: int | None = None) -> None:
        self._err = folder / "build.err"
        limit = resource.RLIM_INFINITY if largest_file is None else largest_file
        with self._err.open("w") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _LAUNCH, str(limit), "build", *arguments],
                cwd=folder,
                env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
                stdout=subprocess.DEVNULL,
                stderr=err,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """Standard error so far."""
        return self._err.read_text()

    def wait_for(self, pattern: re.Pattern[str], count: int, *, seconds: float = 240.0) -> bool:
        """Wait until `pattern` was printed `count` times; False where the build ended before."""
        end = time.monotonic() + seconds
        while len(pattern.findall(self.said)) < count:
            if self._process.poll() is not None:
                return False
            assert time.monotonic() < end, self.said
            time.sleep(0.01)
        return True

    def stop(self, sent: signal.Signals, after: float = 0.0) -> int:
        """Send a signal to the process alone after a delay in seconds; its exit code."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout=after)
        self._process.send_signal(sent)
        return self.end()

    def end(self, seconds: float = 240.0) -> int:
        """Wait until it ends by itself; its exit code."""
        return self._process.wait(timeout=seconds)

    def __enter__(self) -> Build:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def workers_of(workspace: Path) -> list[int]:
    """Process ids of living workers whose result would lie in `workspace`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if "phoneproof.pipeline.worker" in words and str(workspace) in "\0".join(words):
                found.append(int(entry.name))
    return found


def wait_for_no_worker(workspace: Path, seconds: float) -> float:
    """Wait until no worker of `workspace` lives; how long it took."""
    started = time.monotonic()
    while workers_of(workspace):
        assert time.monotonic() - started < seconds, "a worker was left behind"
        time.sleep(0.02)
    return time.monotonic() - started


@dataclass(frozen=True, kw_only=True, slots=True)
class Canonical:
    """A bundle's files by path, times and memory blanked; `blanked`: (file, field) of each."""

    files: dict[str, bytes]
    blanked: frozenset[tuple[str, str]]


def canonical(bundle: Path) -> Canonical:
    """Every file of a bundle with exactly the recorded times and memory blanked.

    The manifest also loses hash and size of the two files that hold times.
    """
    files: dict[str, bytes] = {}
    blanked: set[tuple[str, str]] = set()
    for path in sorted(p for p in bundle.rglob("*") if p.is_file()):
        name = path.relative_to(bundle).as_posix()
        data = path.read_bytes()
        if name in {REPORT, MANIFEST}:
            fields: set[str] = set()
            found = _blanked(msgspec.json.decode(data), fields)
            data = msgspec.json.encode(_unhashed(found) if name == MANIFEST else found)
            blanked |= {(name, field) for field in fields}
        elif name == REPORT_PAGE:
            page = data.decode()
            for pattern in _PAGE_TIMES:
                page, count = pattern.subn("TIME", page)
                assert count, f"nothing in the page looks like {pattern.pattern}"
            data = page.encode()
        files[name] = data
    return Canonical(files=files, blanked=frozenset(blanked))


def _blanked(value: object, fields: set[str]) -> object:
    if isinstance(value, dict):
        fields |= value.keys() & _RECORDED
        return {k: None if k in _RECORDED else _blanked(v, fields) for k, v in value.items()}
    if isinstance(value, list):
        return [_blanked(one, fields) for one in value]
    return value


def _unhashed(manifest: object) -> object:
    assert isinstance(manifest, dict)
    for file in manifest["files"]:
        if file["path"] in {REPORT, REPORT_PAGE}:
            file["sha256"] = file["bytes"] = None
    return manifest


def differing(one: Canonical, other: Canonical) -> list[str]:
    """Names of files that only one bundle has, or that differ."""
    names = one.files.keys() | other.files.keys()
    return sorted(name for name in names if one.files.get(name) != other.files.get(name))
