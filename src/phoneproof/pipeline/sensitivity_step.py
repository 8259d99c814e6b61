"""A step that ranks the layers of a float32 file by what quantizing each would cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.core.events import Progress
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.core.optimization import LayerDamage
from phoneproof.core.recipe import RangeMethod
from phoneproof.optimize.read_bounds import RANGES

SENSITIVITY = "sensitivity.json"
IMAGES = 8
"""Layers differ by orders of magnitude: few images tell them apart."""


@dataclass(frozen=True, kw_only=True)
class SensitivityStep:
    """A float32 TFLite file and its ranges -> ``sensitivity.json``, the worst layer first.

    ranges: the folder that holds the ``ranges.json`` of that file. method: which of them.
    images: the first `IMAGES` by content hash are looked at.
    """

    label: str
    artifact: Path
    artifact_sha256: str
    contract: Contract
    binding: Binding
    ranges: Path
    method: RangeMethod
    images: ImageSet

    tools = ("torch", "ai-edge-quantizer", "opencv-python-headless", "pillow", "numpy")

    @property
    def name(self) -> str:
        """Named by the file that is looked at."""
        return f"sensitivity of {self.label}"

    def identity(self) -> object:
        """The file, how it is fed, its ranges (by their step's address), and the images."""
        return (
            self.artifact_sha256,
            self.contract,
            self.binding,
            self.ranges.name,
            self.method,
            [item.sha256 for item in self.images.items[:IMAGES]],
        )

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``sensitivity.json``.

        Raises:
            OptimizationFailed: NaN or infinite activations (the layer is named), or no image.
        """
        from phoneproof.optimize.backends.tflite_sensitivity import SensitivityRequest, sensitivity

        found = sensitivity(
            SensitivityRequest(
                artifact=self.artifact,
                contract=self.contract,
                binding=self.binding,
                ranges=self.ranges / RANGES,
                method=self.method,
                images=tuple(item.path for item in self.images.items[:IMAGES]),
            ),
            progress,
        )
        (output / SENSITIVITY).write_bytes(pretty_bytes(found))


def sensitivity_of(folder: Path) -> tuple[LayerDamage, ...]:
    """What a SensitivityStep left in `folder`."""
    what = "sensitivity"
    return parse((folder / SENSITIVITY).read_bytes(), tuple[LayerDamage, ...], what=what)
