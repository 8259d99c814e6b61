"""The step that takes channels out of a hub program, and the user's own training of the rest."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.core.events import Progress
from phoneproof.core.recipe import Prune
from phoneproof.pipeline.artifact_steps import Made
from phoneproof.pipeline.capture_steps import HUB_FILE
from phoneproof.pipeline.request import Finetune

if TYPE_CHECKING:
    import torch

FOLDER: Final = "artifacts/pruned"
"""Of the bundle: where what is made from a pruned hub program lies."""

_BEAT: Final = 5.0
"""Seconds between two signs of life while the user's code runs."""


@dataclass(frozen=True, kw_only=True)
class PruneStep:
    """Hub -> hub with fewer channels, taught by the first on unlabelled images, or trained by the
    user's own code where that is named.
    """

    hub: Path
    hub_sha256: str
    contract: Contract
    binding: Binding
    recipe: Prune
    images: ImageSet
    finetune: Finetune | None = None

    tools = ("torch", "numpy", "opencv-python-headless", "pillow")

    @property
    def name(self) -> str:
        """Named by the target."""
        return f"prune to {self.recipe.share:.0%} {self.recipe.of}"

    def identity(self) -> object:
        """The hub, how it is fed, the target with its time, the images, and the user's code."""
        code = (self.finetune.code.target, self.finetune.sha256) if self.finetune else None
        return self.hub_sha256, self.contract, self.binding, self.recipe, self.images.ref, code

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
            Training(self.finetune, progress) if self.finetune else None,
        )
        Made(file=HUB_FILE, model=model).keep(output)


class Training:
    """Calls the user's function, and shows meanwhile that the step is alive."""

    def __init__(self, finetune: Finetune, progress: Progress) -> None:
        self._finetune = finetune
        self._progress = progress

    @property
    def name(self) -> str:
        """``module:function``, for messages."""
        return self._finetune.code.target

    def __call__(self, network: torch.nn.Module, seconds: float) -> object:
        """What the function returns.

        Raises:
            ConfigError: no such function, or it raised; with the place in the user's code. Or the
                code is no longer what the step is kept under.
        """
        self._finetune.require_unchanged()
        from phoneproof.capture.backends.torch_files.factory import called

        with _alive(self._progress, seconds):
            return called(self._finetune.code, network, seconds)


@contextmanager
def _alive(progress: Progress, seconds: float) -> Iterator[None]:
    """Progress by the clock. Code that takes longer than it may is waited for without: what hangs
    is stopped as any step is.
    """
    over = threading.Event()

    def beat() -> None:
        for done in range(round(seconds / _BEAT)):
            if over.wait(_BEAT):
                return
            progress(round(done * _BEAT), round(seconds))

    thread = threading.Thread(target=beat, name="alive", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
