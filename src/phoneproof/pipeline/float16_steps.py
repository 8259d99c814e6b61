"""Steps that look inside Apple's float16: before a file is written, and at what was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.core.events import Progress
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.optimize.float16_scan import SCAN, Float16Scan
from phoneproof.optimize.read_bounds import RANGES
from phoneproof.pipeline.capture_steps import PIXEL_TOOLS
from phoneproof.runtimes.float16_finding import Float16Finding

FINDINGS: Final = "float16_findings.json"
IMAGES: Final = 8
"""Looked at before a file is written: the first by content hash. Few tell ranges and layers apart,
which differ by orders of magnitude; of four the ratio of signal to noise can be 3 dB off."""
COUNTED: Final = 4
"""On which overflow is counted: the last, so that they are others, where there are enough."""


@dataclass(frozen=True, kw_only=True)
class ScanStep:
    """A float32 package -> ``ranges.json`` and ``float16_scan.json``.

    binding: of the package. images: the first `IMAGES` are looked at. snr_db: asked of every
    output; null asks for the ranges alone.
    """

    label: str
    artifact: Path
    artifact_sha256: str
    contract: Contract
    binding: Binding
    images: ImageSet
    snr_db: float | None

    tools = (*PIXEL_TOOLS, "torch", "coremltools")

    @property
    def name(self) -> str:
        """Named by what it prepares."""
        return f"scan ranges of {self.label}"

    def identity(self) -> object:
        """The file, how it is fed, the images, and what is asked."""
        return (
            self.artifact_sha256,
            self.contract,
            self.binding,
            [item.sha256 for item in self.images.items[:IMAGES]],
            self.snr_db,
        )

    def run(self, output: Path, progress: Progress) -> None:
        """Write both files."""
        from phoneproof.optimize.backends.coreml_scan import ScanRequest, scan

        ranges, found = scan(
            ScanRequest(
                artifact=self.artifact,
                contract=self.contract,
                binding=self.binding,
                images=tuple(item.path for item in self.images.items[:IMAGES]),
                snr_db=self.snr_db,
            ),
            progress,
        )
        (output / RANGES).write_bytes(pretty_bytes(ranges))
        (output / SCAN).write_bytes(pretty_bytes(found))


@dataclass(frozen=True, kw_only=True)
class HubScanStep(ScanStep):
    """A float32 hub program -> ``float16_scan.json``, of the Core AI file that it becomes."""

    def run(self, output: Path, progress: Progress) -> None:
        """Write the file."""
        from phoneproof.optimize.backends.hub_scan import HubScanRequest, scan

        found = scan(
            HubScanRequest(
                artifact=self.artifact,
                contract=self.contract,
                binding=self.binding,
                images=tuple(item.path for item in self.images.items[:IMAGES]),
                snr_db=self.snr_db,
            ),
            progress,
        )
        (output / SCAN).write_bytes(pretty_bytes(found))


def scan_of(folder: Path) -> Float16Scan:
    """What a ScanStep left in `folder`, beside the ranges."""
    return parse((folder / SCAN).read_bytes(), Float16Scan, what="float16 scan")


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What each operation lost, in the program's order. runtime: that counted, with its version."""

    runtime: str
    findings: tuple[Float16Finding, ...]


@dataclass(frozen=True, kw_only=True)
class CountStep:
    """A package with float16 in it -> ``float16_findings.json``.

    images: all that the package is judged on; `counted_on` says which are looked at.
    """

    label: str
    artifact: Path
    artifact_sha256: str
    contract: Contract
    binding: Binding
    images: ImageSet

    tools = (*PIXEL_TOOLS, "torch", "coremltools")

    @property
    def name(self) -> str:
        """Named by the file."""
        return f"count overflow in {self.label}"

    def identity(self) -> object:
        """The file, how it is fed, and the images."""
        items = counted_on(self.images).items
        return self.artifact_sha256, self.contract, self.binding, [one.sha256 for one in items]

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``float16_findings.json``."""
        from phoneproof.pixels.image import read_image
        from phoneproof.pixels.preprocess import Preprocessor
        from phoneproof.runtimes.backends.coreml import REFERENCE, open_counting

        spec, image = self.contract.image, self.binding.image
        session = open_counting(self.artifact)
        preprocessor = Preprocessor(spec, image)
        items = counted_on(self.images).items
        for turn, item in enumerate(items, start=1):
            tensor = preprocessor.prepare(read_image(item.path, spec)).tensor
            session.run({image.tensor: tensor})
            progress(turn, len(items))
        name, version = REFERENCE
        counted = Counted(runtime=f"{name} ({version})", findings=session.float16_findings())
        (output / FINDINGS).write_bytes(pretty_bytes(counted))


def counted_on(images: ImageSet) -> ImageSet:
    """The images on which overflow is counted."""
    return ImageSet(split=images.split, items=images.items[-COUNTED:])


def counted_of(folder: Path) -> Counted:
    """What a CountStep left in `folder`."""
    return parse((folder / FINDINGS).read_bytes(), Counted, what="float16 findings")
