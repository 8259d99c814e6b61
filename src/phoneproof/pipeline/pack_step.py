"""The step that makes what ships beside the artifacts: golden vectors and the stored baseline."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from phoneproof.core.artifact import Artifact
from phoneproof.core.contract import Contract
from phoneproof.core.events import Progress
from phoneproof.pipeline.prediction import PREDICTIONS
from phoneproof.runtimes.base import Session


def open_artifact(artifact: Artifact, path: Path) -> Session:
    """Open an artifact with the runtime of its format."""
    from phoneproof.runtimes.base import RUNTIMES

    return RUNTIMES.load(artifact.format).open(path)


@dataclass(frozen=True, kw_only=True)
class PackStep:
    """Golden vectors of every artifact -> ``golden/``; baseline results alone -> ``baseline/``."""

    contract: Contract
    artifacts: tuple[tuple[Artifact, Path], ...]
    baseline: Path
    pictures: tuple[tuple[Path, str], ...]

    name = "golden vectors"
    tools = (
        "numpy",
        "opencv-python-headless",
        "pillow",
        "onnxruntime",
        "ai-edge-litert",
        "tensorflow-cpu",
        "torch",
    )

    def identity(self) -> object:
        """The artifacts, the baseline's address and the pictures' hashes."""
        return (
            self.contract,
            [artifact.sha256 for artifact, _ in self.artifacts],
            self.baseline.name,
            [sha256 for _, sha256 in self.pictures],
        )

    def run(self, output: Path, progress: Progress) -> None:
        """Write both folders."""
        from phoneproof.package.golden import make_golden
        from phoneproof.runtimes.prediction_store import read_predictions, write_predictions

        del progress
        pictures = [path for path, _ in self.pictures]
        make_golden(
            output / "golden", self.contract, self.artifacts, open_artifact, pictures or None
        )
        stored = read_predictions(self.baseline / PREDICTIONS)
        write_predictions(
            output / "baseline", (dataclasses.replace(one, roles=None) for one in stored)
        )
