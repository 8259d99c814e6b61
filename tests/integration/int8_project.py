"""Projects whose one artifact is int8: their configuration, their build, their report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from phoneproof.core.json_format import parse
from phoneproof.core.report import ArtifactReport, Report
from tests.integration.command_line import Ran, phoneproof
from tests.integration.square_detector import LABELS, SIDE, save_detector, write_squares

CIFAR = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """A folder with a model and what to make of it; configurations in it share its cache."""

    folder: Path
    source: str
    task: str
    labels: tuple[str, ...]
    side: int
    scale: float
    evaluation: Path
    head: str = ""

    def build(
        self,
        *arguments: str,
        calibration: Path | None = None,
        target: str = "",
        formats: str = "tflite",
    ) -> Ran:
        """Run ``phoneproof build``."""
        self.configure(calibration=calibration, target=target, formats=formats)
        return phoneproof("build", *arguments, cwd=self.folder)

    def configure(
        self,
        *,
        calibration: Path | None = None,
        target: str = "",
        formats: str = "tflite",
        checks: str = "",
    ) -> Path:
        """Write ``phoneproof.toml``."""
        data = f"evaluation = {str(self.evaluation)!r}\n"
        data += f"calibration = {str(calibration)!r}\n" if calibration else ""
        text = f"""
[model]
source = "{self.source}"
name = "model"
version = "1.0.0"
[data]
{data}
[contract]
task = "{self.task}"
labels = {list(self.labels)}
size = [{self.side}, {self.side}]
channels = "rgb"
scale = {self.scale}
mean = [0.0, 0.0, 0.0]
std = [1.0, 1.0, 1.0]
[[contract.geometry]]
op = "resize"
to = "stretch"
size = [{self.side}, {self.side}]
filter = "pillow.bilinear"
{self.head}
[targets.android]
formats = ["{formats}"]
precisions = ["int8"]
{target}
[checks]
contract_search = "off"
{checks}
"""
        path = self.folder / "phoneproof.toml"
        path.write_text(text)
        return path

    @property
    def bundle(self) -> Path:
        return self.folder / "dist" / "model-1.0.0"

    def report(self, suffix: str = "") -> ArtifactReport:
        path = self.bundle.with_name(self.bundle.name + suffix) / "report.json"
        (artifact,) = parse(path.read_bytes(), Report, what="report").artifacts
        return artifact


def square_project(folder: Path, *, joined: bool, confidence: float) -> Project:
    """Boxes and scores of squares, in one tensor or two; 30 calibration images in ``cal``."""
    save_detector(folder / "model.onnx", joined=joined)
    write_squares(folder / "cal", 30, seed=1)
    return Project(
        folder=folder,
        source="model.onnx",
        task="detect",
        labels=LABELS,
        side=SIDE,
        scale=1 / 255,
        evaluation=write_squares(folder / "val", 60),
        head=_squares_head(joined=joined, confidence=confidence),
    )


def _squares_head(*, joined: bool, confidence: float) -> str:
    boxes, scores = ("joined", "joined") if joined else ("boxes", "scores")
    parts = ("slice = [0, 4]", "slice = [4, 6]") if joined else ("", "")
    return f"""
[contract.decode]
confidence = {confidence}
[contract.decode.nms]
iou = 0.45
[head]
[[head.outputs]]
tensor = "{boxes}"
role = "boxes"
axes = ["coord", "anchor"]
{parts[0]}
box = {{ format = "cxcywh" }}
[[head.outputs]]
tensor = "{scores}"
role = "scores"
axes = ["class", "anchor"]
{parts[1]}
"""
