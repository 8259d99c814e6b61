"""The step that ranks a hub program's layers by what small weights do to the outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.core.events import Progress
from phoneproof.core.json_format import pretty_bytes
from phoneproof.core.recipe import Palette, WeightOnly
from phoneproof.pipeline.capture_steps import PIXEL_TOOLS
from phoneproof.pipeline.damage_step import DAMAGE, IMAGES


@dataclass(frozen=True, kw_only=True)
class HubDamageStep:
    """A float hub and a recipe for its weights -> ``damage.json``, worst first.

    images: the first `IMAGES` are looked at.
    """

    label: str
    artifact: Path
    artifact_sha256: str
    recipe: WeightOnly | Palette
    contract: Contract
    binding: Binding
    images: ImageSet

    tools = (*PIXEL_TOOLS, "torch")

    @property
    def name(self) -> str:
        """Named by the candidate."""
        return f"damage of {self.label}"

    def identity(self) -> object:
        """The program, the recipe, how it is fed, and the images."""
        return (
            self.artifact_sha256,
            self.recipe,
            self.contract,
            self.binding,
            [item.sha256 for item in self.images.items[:IMAGES]],
        )

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``damage.json``.

        Raises:
            OptimizationFailed: numbers of the program that are not finite.
        """
        from phoneproof.optimize.backends.hub_sensitivity import HubDamageRequest, damage

        found = damage(
            HubDamageRequest(
                artifact=self.artifact,
                recipe=self.recipe,
                contract=self.contract,
                binding=self.binding,
                images=tuple(item.path for item in self.images.items[:IMAGES]),
            ),
            progress,
        )
        (output / DAMAGE).write_bytes(pretty_bytes(found))
