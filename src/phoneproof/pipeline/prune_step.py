"""The step that takes channels out of a hub program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.core.events import Progress
from phoneproof.core.recipe import Prune
from phoneproof.pipeline.artifact_steps import Made
from phoneproof.pipeline.capture_steps import HUB_FILE


@dataclass(frozen=True, kw_only=True)
class PruneStep:
    """Hub -> hub with fewer channels, taught by the first on unlabelled images."""

    hub: Path
    hub_sha256: str
    contract: Contract
    binding: Binding
    recipe: Prune
    images: ImageSet

    tools = ("torch", "numpy", "opencv-python-headless", "pillow")

    @property
    def name(self) -> str:
        """Named by the target."""
        return f"prune to {self.recipe.share:.0%} {self.recipe.of}"

    def identity(self) -> object:
        """The hub, how it is fed, the target with its time, and the images."""
        return self.hub_sha256, self.contract, self.binding, self.recipe, self.images.ref

    def run(self, output: Path, progress: Progress) -> None:
        """Write the smaller hub and ``made.json``."""
        from phoneproof.optimize.base import PRUNERS, PruneRequest

        model = PRUNERS.load("hub-prune").prune(
            PruneRequest(
                hub=self.hub,
                contract=self.contract,
                binding=self.binding,
                recipe=self.recipe,
                images=tuple(item.path for item in self.images.items),
                output=output / HUB_FILE,
            ),
            progress,
        )
        Made(file=HUB_FILE, model=model).keep(output)
