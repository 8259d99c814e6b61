"""Maven, one at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import pytest

TIMEOUT: Final = 3000
"""Seconds: a build takes two minutes of processor time and waits where others run beside it; the
first one loads 700 MB."""


def maven() -> Path:
    """The command; skips where it or a JDK is missing, and fails under CI."""
    missing = [name for name in ("mvn", "javac") if shutil.which(name) is None]
    if missing:
        message = f"no {' and no '.join(missing)}: run scripts/android_toolchain.sh as root"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return Path(shutil.which("mvn") or "")


def run_alone(command: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Maven in `folder`; several at once would spoil the repository that they load into."""
    with (Path(tempfile.gettempdir()) / "phoneproof-maven.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return subprocess.run(
            [str(command), "-B", "-ntp", *words],
            cwd=folder,
            env={**os.environ, "MAVEN_OPTS": "-Xmx1500m"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
