"""The command line as a user starts it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

LONGEST_SECONDS: Final = 900
"""For one command. A build that takes a minute alone takes many beside other work, as on a shared
CI machine; one that hangs ends all the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """How a command ended; `said`: standard error and output together."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.err + self.out

    def json(self) -> object:
        return msgspec.json.decode(self.out)


def phoneproof(
    *arguments: str | Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
) -> Ran:
    """Run one command in `cwd`, with a wide terminal; `within`: a program that starts it."""
    words = [sys.executable, "-m", "phoneproof", *(str(argument) for argument in arguments)]
    done = subprocess.run(
        [*within, *words],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **(env or {})},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    return Ran(code=done.returncode, out=done.stdout, err=done.stderr)


def listing(folder: Path) -> set[str]:
    """Everything under a folder but the cache that builds keep."""
    found = (path.relative_to(folder) for path in folder.rglob("*"))
    return {path.as_posix() for path in found if ".phoneproof" not in path.parts}
