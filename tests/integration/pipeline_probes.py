"""Steps that misbehave, for the tests of the worker process."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass
from pathlib import Path

from phoneproof.core.errors import Unsupported
from phoneproof.core.events import Progress


@dataclass(frozen=True, kw_only=True)
class ProbeStep:
    """Writes `text`, after doing what `behaviour` says."""

    text: str = "result"
    behaviour: str = "work"
    marker: Path | None = None

    tools = ("msgspec",)

    @property
    def name(self) -> str:
        return f"probe {self.behaviour}"

    def identity(self) -> object:
        return self.text, self.behaviour

    def run(self, output: Path, progress: Progress) -> None:
        (output / "half.txt").write_text("half-written")
        print("a library prints to standard output")
        if self.behaviour == "abort":
            os.abort()
        if self.behaviour == "exit":
            os._exit(3)
        if self.behaviour == "hang":
            time.sleep(600)
        if self.behaviour == "refuse":
            raise Unsupported("no such operator", found="Einsum", next_step="rewrite it")
        if self.behaviour == "bug":
            raise KeyError("forgotten")
        if self.behaviour == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.behaviour == "slow":
            for done in range(5):
                time.sleep(1)
                progress(done, 5)
        for done in range(3):
            progress(done + 1, 3)
        if self.marker is not None:
            with self.marker.open("a") as stream:
                stream.write("ran\n")
        (output / "text.txt").write_text(self.text)
