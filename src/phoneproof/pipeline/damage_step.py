"""The step that ranks a Core ML candidate's layers by what their rounding does to the outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.core.events import Progress
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.core.optimization import LayerDamage
from phoneproof.pipeline.artifact_steps import MadeArtifact
from phoneproof.pipeline.capture_steps import PIXEL_TOOLS

DAMAGE: Final = "damage.json"
IMAGES: Final = 4
"""Layers differ by orders of magnitude: few images tell them apart."""


@dataclass(frozen=True, kw_only=True)
class DamageStep:
    """A float32 package and a candidate that was made from it -> ``damage.json``, worst first.

    binding: of the package. images: the first `IMAGES` are looked at.
    """

    label: str
    artifact: Path
    artifact_sha256: str
    candidate: Path
    candidate_sha256: str
    contract: Contract
    binding: Binding
    images: ImageSet

    tools = (*PIXEL_TOOLS, "torch", "coremltools")

    @property
    def name(self) -> str:
        """Named by the candidate."""
        return f"damage of {self.label}"

    def identity(self) -> object:
        """Both files, how they are fed, and the images."""
        return (
            self.artifact_sha256,
            self.candidate_sha256,
            self.contract,
            self.binding,
            [item.sha256 for item in self.images.items[:IMAGES]],
        )

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``damage.json``.

        Raises:
            OptimizationFailed: numbers of the float package that are not finite.
        """
        from phoneproof.optimize.backends.coreml_sensitivity import DamageRequest, damage

        found = damage(
            DamageRequest(
                artifact=self.artifact,
                candidate=self.candidate,
                contract=self.contract,
                binding=self.binding,
                images=tuple(item.path for item in self.images.items[:IMAGES]),
            ),
            progress,
        )
        (output / DAMAGE).write_bytes(pretty_bytes(found))


def damage_step(
    parent: MadeArtifact, candidate: MadeArtifact, contract: Contract, images: ImageSet
) -> DamageStep:
    """The step that ranks what became of `parent`'s layers in `candidate`."""
    return DamageStep(
        label=candidate.artifact.id,
        artifact=parent.path,
        artifact_sha256=parent.artifact.sha256,
        candidate=candidate.path,
        candidate_sha256=candidate.artifact.sha256,
        contract=contract,
        binding=parent.artifact.binding,
        images=images,
    )


def damage_of(folder: Path) -> tuple[LayerDamage, ...]:
    """What a DamageStep left in `folder`."""
    return parse((folder / DAMAGE).read_bytes(), tuple[LayerDamage, ...], what="damage of layers")
