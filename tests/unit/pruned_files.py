"""Judged files without any model, for the searches that only look at verdicts."""

from __future__ import annotations

from pathlib import Path

from phoneproof.core.artifact import Artifact, Lineage
from phoneproof.core.binding import Binding, InputBinding
from phoneproof.core.check import Check
from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.data.split import Splits
from phoneproof.pipeline.artifact_chain import JudgedArtifact
from phoneproof.pipeline.artifact_steps import MadeArtifact
from phoneproof.pipeline.judge_steps import Measured

LIMIT = 0.01


def splits(apart: bool = False) -> Splits:
    """One image to select on, and the same or another one to confirm on."""
    one, other = (
        ImageItem(name=f"{name}.png", path=Path(f"{name}.png"), sha256=name) for name in "ab"
    )
    selection = ImageSet(split="selection", items=(one,))
    confirmation = ImageSet(split="confirmation", items=(other,)) if apart else selection
    calibration = ImageSet(split="calibration", items=(other,))
    return Splits(calibration=calibration, selection=selection, confirmation=confirmation)


def made(file: Path = Path("model.tflite"), sha256: str = "s") -> MadeArtifact:
    """An artifact whose file need not be there."""
    image = InputBinding(tensor="image", shape=(1, 2, 2, 3), layout="NHWC")
    artifact = Artifact(
        id="tflite-float32",
        format="tflite",
        requested="float32",
        precision="float32",
        path="artifacts/model.tflite",
        bytes=100,
        sha256=sha256,
        binding=Binding(contract="c", format="tflite", inputs=(image,), outputs=()),
        lineage=Lineage(parent="p", step="convert"),
    )
    return MadeArtifact(artifact=artifact, path=file)


def judged(drop: float, *, file: Path = Path("model.tflite"), sha256: str = "s") -> JudgedArtifact:
    """A file that loses so much of top-1."""
    good = drop <= LIMIT
    check = Check(
        name="top1_drop",
        kind="margin",
        value=drop,
        limit=LIMIT,
        n=100,
        verdict="pass" if good else "fail",
    )
    return JudgedArtifact(
        made=made(file, sha256),
        run=Path("run"),
        measured=Measured(checks=(check,), scores=()),
        accepted=good,
    )
