"""The step that times an artifact on this host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from phoneproof.core.binding import Format
from phoneproof.core.events import Progress
from phoneproof.core.json_format import parse, pretty_bytes

if TYPE_CHECKING:
    from phoneproof.runtimes.latency import Latency

LATENCY = "latency.json"


@dataclass(frozen=True, kw_only=True)
class LatencyStep:
    """A model file -> ``latency.json``: one thread of this host."""

    label: str
    format: Format
    artifact: Path
    artifact_sha256: str

    tools = ("ai-edge-litert", "onnxruntime", "tensorflow-cpu", "torch")

    @property
    def name(self) -> str:
        """Named by what is timed."""
        return f"time {self.label}"

    def identity(self) -> object:
        """The file. The host is not part of it: a cached figure is an order of magnitude too."""
        return self.format, self.artifact_sha256

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``latency.json``."""
        from phoneproof.runtimes.base import RUNTIMES
        from phoneproof.runtimes.latency import measure_latency

        del progress
        session = RUNTIMES.load(self.format).open(self.artifact, threads=1)
        (output / LATENCY).write_bytes(pretty_bytes(measure_latency(session)))


def latency(folder: Path) -> Latency:
    """What a LatencyStep left in `folder`."""
    from phoneproof.runtimes.latency import Latency

    return parse((folder / LATENCY).read_bytes(), Latency, what="latency")
