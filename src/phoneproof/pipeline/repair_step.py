"""The step that changes a float32 file so that rounding it loses less."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.core.events import Progress
from phoneproof.core.recipe import Static
from phoneproof.optimize.read_bounds import RANGES
from phoneproof.pipeline.artifact_steps import Made


@dataclass(frozen=True, kw_only=True)
class RepairStep:
    """float32 artifact -> float32 artifact, and its ``ranges.json`` where the repair knows them.

    repairer: its name in the table. label: of the file, as people read it. recipe: how it will be
    quantized. ranges: the folder that holds ``ranges.json`` of the artifact. images: unlabelled.
    seconds: what may be spent; more of them may give another file.
    """

    repairer: str
    label: str
    artifact: Path
    artifact_sha256: str
    contract: Contract
    binding: Binding
    recipe: Static
    ranges: Path
    images: ImageSet
    seconds: float

    tools = ("torch", "ai-edge-quantizer", "numpy", "opencv-python-headless", "pillow")

    @property
    def name(self) -> str:
        """Named by the repair and the file."""
        return f"{self.repairer.partition('-')[2]} {self.label}"

    def identity(self) -> object:
        """The artifact, the recipe, the images, the time, and where its ranges come from."""
        return (
            self.repairer,
            self.artifact_sha256,
            self.contract,
            self.binding,
            self.recipe,
            self.ranges.name,
            self.images.ref,
            self.seconds,
        )

    def run(self, output: Path, progress: Progress) -> None:
        """Write the file, ``made.json`` and, where it was learned, ``ranges.json``."""
        from phoneproof.optimize.base import REPAIRERS, RepairRequest

        repaired = REPAIRERS.load(self.repairer).repair(
            RepairRequest(
                artifact=self.artifact,
                contract=self.contract,
                binding=self.binding,
                recipe=self.recipe,
                ranges=self.ranges / RANGES,
                images=tuple(item.path for item in self.images.items),
                seconds=self.seconds,
                output=output,
            ),
            progress,
        )
        Made(file=repaired.file, model=repaired.model).keep(output)
