"""Swift on Linux: the toolchain that ``make swift`` prepares, run in a namespace of its own.

Everything is mounted in a private mount namespace, which ends with the process: nothing stays
mounted, however a test ends.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

TIMEOUT = 1200
"""Seconds: a build takes 16 of processor time, and waits where other tests run beside it."""


def toolchain() -> Path:
    """The chroot; skips where there is none, and fails under CI."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    root = cache / "phoneproof" / "swift"
    missing = ""
    if not (root / "usr/libexec/swift/bin/swift").is_file():
        missing = "no Swift toolchain: run `make swift` as root"
    elif os.geteuid() != 0:
        missing = "the Swift toolchain is a chroot: root is needed to enter it"
    if missing:
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return root


@dataclass(frozen=True, kw_only=True, slots=True)
class Swift:
    """A folder that Swift commands see as ``/work``."""

    root: Path
    folder: Path

    def run(
        self, command: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """One shell command; standard error goes with its output."""
        root, folder = shlex.quote(str(self.root)), shlex.quote(str(self.folder))
        setup = f"mount -t proc proc {root}/proc && mount --bind {folder} {root}/work"
        for name in ("home", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)
        inside = ("env", "-i", "HOME=/work/home", "TMPDIR=/work/tmp", "LANG=C.UTF-8",
                  "PATH=/usr/libexec/swift/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                  *(f"{name}={value}" for name, value in (env or {}).items()),
                  "sh", "-c", f"cd /work && {command}")  # fmt: skip
        entered = f"{setup} && exec chroot {root} {shlex.join(inside)}"
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", entered],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def succeed(self, command: str, env: Mapping[str, str] | None = None) -> str:
        """The output of a command that must succeed."""
        done = self.run(command, env)
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout
