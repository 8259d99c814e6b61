"""A project whose one artifact is int8: its configuration, its build, its report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from phoneproof.core.json_format import parse
from phoneproof.core.report import ArtifactReport, Report
from tests.integration.command_line import Ran, phoneproof


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
