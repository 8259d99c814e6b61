"""A live module in place of a source file: its first two steps run in the process that holds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from phoneproof.core.artifact import file_sha256
from phoneproof.core.binding import Binding
from phoneproof.core.capture import Inspection
from phoneproof.core.contract import Contract, Size
from phoneproof.core.dataset import ImageSet
from phoneproof.core.events import Progress
from phoneproof.core.json_format import pretty_bytes
from phoneproof.pipeline.capture_steps import HUB_FILE, HUB_INFO, HubInfo
from phoneproof.pipeline.prediction import raw_image_count, write_run

if TYPE_CHECKING:
    from phoneproof.capture.backends.live_module import LiveModule


@dataclass(frozen=True, kw_only=True)
class LiveHubStep:
    """The module's exported program -> ``hub.pt2`` and ``hub.json``."""

    module: LiveModule

    name = "capture"
    tools = ("torch", "numpy")
    runs_here: Literal[True] = True

    def identity(self) -> object:
        """The module's weights and structure."""
        return self.module.sha256, self.module.inputs, self.module.outputs

    def run(self, output: Path, progress: Progress) -> None:
        """Write the hub program and who made it."""
        from phoneproof.runtimes.backends.hub import save_hub

        del progress
        save_hub(self.module.program, output / HUB_FILE, self.module.inputs, self.module.outputs)
        info = HubInfo(
            importer="torch.export",
            outputs=self.module.outputs,
            sha256=file_sha256(output / HUB_FILE),
        )
        (output / HUB_INFO).write_bytes(pretty_bytes(info))


@dataclass(frozen=True, kw_only=True)
class LiveBaselineStep:
    """The module's own outputs on the evaluation images -> a prediction folder."""

    module: LiveModule
    contract: Contract
    binding: Binding
    images: ImageSet
    keeps_outputs: bool = True

    name = "baseline"
    tools = ("torch", "numpy", "opencv-python-headless", "pillow")
    runs_here: Literal[True] = True

    def identity(self) -> object:
        """The module, and what is shown to it."""
        return (
            self.module.sha256,
            self.contract,
            self.binding,
            self.images.ref,
            self.keeps_outputs,
        )

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``predictions/`` and ``runtime.json``."""
        write_run(
            output,
            self.module,
            runtime=("module", "source runtime", "cpu"),
            contract=self.contract,
            binding=self.binding,
            images=self.images,
            raw_count=raw_image_count(self.binding) if self.keeps_outputs else 0,
            progress=progress,
        )


@dataclass(frozen=True, kw_only=True)
class LiveSource:
    """A source that exists in this process alone."""

    module: LiveModule
    name: str

    @property
    def sha256(self) -> str:
        """Of the weights and the structure."""
        return self.module.sha256

    def hub_step(
        self, *, inspection: Inspection, size: Size, batch: int, importer: int
    ) -> LiveHubStep:
        """The module was exported for one size and batch, by the one importer there is."""
        del inspection, size, batch, importer
        return LiveHubStep(module=self.module)

    def baseline_step(
        self, *, contract: Contract, binding: Binding, images: ImageSet
    ) -> LiveBaselineStep:
        """The module itself, run here."""
        return LiveBaselineStep(
            module=self.module, contract=contract, binding=binding, images=images
        )
