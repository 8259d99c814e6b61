"""Steps that read the source: what it says, its hub program, its own outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from phoneproof.capture.base import Factory, HubExport, Source
from phoneproof.core.binding import Binding
from phoneproof.core.capture import Inspection
from phoneproof.core.contract import Contract, Size
from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import ConversionFailed, Unsupported
from phoneproof.core.events import Progress
from phoneproof.core.json_format import pretty_bytes
from phoneproof.core.report import RefusedImporter
from phoneproof.core.tensors import TensorSpec
from phoneproof.pipeline.prediction import RAW_BUDGET_BYTES, raw_image_count, write_run

if TYPE_CHECKING:
    from torch.export import ExportedProgram

HUB_FILE = "hub.pt2"
HUB_INFO = "hub.json"
CAPTURE_TOOLS: Final = (
    *("torch", "onnx", "onnx2torch", "onnxslim", "numpy"),
    *("tensorflow-cpu", "tf-keras", "keras", "tf2onnx", "ai-edge-litert"),
)
PIXEL_TOOLS: Final = ("numpy", "opencv-python-headless", "pillow")


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """The trained model's file, its reader and its hash.

    factory: the user's code for bare weights. factory_sha256: of its files.
    """

    path: Path
    format: str
    sha256: str
    factory: Factory | None = None
    factory_sha256: str = ""

    @property
    def name(self) -> str:
        """The file's name, without its folder."""
        return self.path.name

    def reader(self) -> Source:
        """The reader of the file's format, with the user's code where it takes some."""
        from phoneproof.capture.base import SOURCES, TakesFactory

        source = SOURCES.load(self.format)
        if self.factory is not None and isinstance(source, TakesFactory):
            return source.with_factory(self.factory)
        return source

    def identity(self) -> tuple[str, ...]:
        """What results depend on: the reader, the bytes and the user's code, not the place."""
        if self.factory is None:
            return self.format, self.sha256
        return self.format, self.sha256, self.factory.target, self.factory_sha256

    def hub_step(self, *, inspection: Inspection, size: Size, batch: int, importer: int) -> HubStep:
        """The step that exports the file with one of its importers."""
        return HubStep(
            source=self, inspection=inspection, importer=importer, size=size, batch=batch
        )

    def baseline_step(
        self, *, contract: Contract, binding: Binding, images: ImageSet
    ) -> BaselineStep:
        """The step that runs the file in its own runtime."""
        return BaselineStep(source=self, contract=contract, binding=binding, images=images)


@dataclass(frozen=True, kw_only=True)
class InspectStep:
    """Read everything the source says, without running it -> ``inspection.json``."""

    source: FileSource

    name = "inspect"
    tools = ("onnx", "h5py", "torch", "tensorflow-cpu", "tf-keras", "keras", "ai-edge-litert")

    def identity(self) -> object:
        """The source, and its name, which error messages carry."""
        return self.source.identity(), self.source.path.name

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``inspection.json``."""
        del progress
        inspection = self.source.reader().inspect(self.source.path)
        (output / "inspection.json").write_bytes(pretty_bytes(inspection))


class HubInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Which importer made the hub, and the outputs the program has.

    place: the importer's place among all, from 0. remaining: how many come after it. failed: those
    before it, from the one that was asked for on, that gave no program.
    """

    importer: str
    place: int = 0
    remaining: int = 0
    failed: tuple[RefusedImporter, ...] = ()
    outputs: tuple[TensorSpec, ...]
    sha256: str


@dataclass(frozen=True, kw_only=True)
class HubStep:
    """Export the source -> ``hub.pt2`` and ``hub.json``.

    importer: the place of the first importer to try; where it cannot, the next ones are tried.
    """

    source: FileSource
    inspection: Inspection
    importer: int
    size: Size
    batch: int

    tools = CAPTURE_TOOLS

    @property
    def name(self) -> str:
        """The first importer is simply the capture."""
        return "capture" if self.importer == 0 else f"capture (importer {self.importer + 1})"

    def identity(self) -> object:
        """The source, the importer's place and the shape."""
        return self.source.identity(), self.importer, self.size, self.batch

    def run(self, output: Path, progress: Progress) -> None:
        """Write the hub program and who made it."""
        from phoneproof.capture.hub import hub_tensors
        from phoneproof.core.artifact import file_sha256
        from phoneproof.runtimes.backends.hub import output_shapes, save_hub

        del progress
        importers = self.source.reader().importers(
            self.source.path, size=self.size, batch=self.batch
        )
        if self.importer >= len(importers):
            raise ConversionFailed(f"{self.source.name} has no further importer")
        place, program, failed = _first_program(importers, self.importer)
        inputs, outputs = hub_tensors(
            self.inspection,
            size=self.size,
            batch=self.batch,
            output_shapes=output_shapes(program),
        )
        save_hub(program, output / HUB_FILE, inputs, outputs)
        info = HubInfo(
            importer=importers[place][0],
            place=place,
            remaining=len(importers) - place - 1,
            failed=failed,
            outputs=outputs,
            sha256=file_sha256(output / HUB_FILE),
        )
        (output / HUB_INFO).write_bytes(pretty_bytes(info))


def _first_program(
    importers: tuple[tuple[str, HubExport], ...], first: int
) -> tuple[int, ExportedProgram, tuple[RefusedImporter, ...]]:
    """The first importer that gives a program, and those before it that did not."""
    failed: list[RefusedImporter] = []
    for place, (name, export) in enumerate(importers[first:], start=first):
        try:
            return place, export(), tuple(failed)
        except (ConversionFailed, Unsupported) as error:
            if place == len(importers) - 1:
                raise
            reason = f"{error.failed}: {error.found}" if error.found else error.failed
            failed.append(RefusedImporter(importer=name, reason=reason))
    raise AssertionError("unreachable: the last importer returns or raises")


@dataclass(frozen=True, kw_only=True)
class BaselineStep:
    """The source's own outputs on the evaluation images -> a prediction folder.

    keeps_outputs: whether the raw outputs of the first images are kept.
    """

    source: FileSource
    contract: Contract
    binding: Binding
    images: ImageSet
    keeps_outputs: bool = True

    name = "baseline"
    tools = (*CAPTURE_TOOLS, *PIXEL_TOOLS, "onnxruntime")

    def identity(self) -> object:
        """The source, what the images are and how they are read; not their labels."""
        return (
            self.source.identity(),
            self.contract,
            self.binding,
            self.images.ref,
            RAW_BUDGET_BYTES if self.keeps_outputs else 0,
        )

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``predictions/`` and ``runtime.json``."""
        from phoneproof.capture.hub import fitted_to_source

        height, width = self.contract.image.size
        session = self.source.reader().open(
            self.source.path, size=(height, width), batch=self.binding.batch
        )
        write_run(
            output,
            session,
            runtime=(self.source.format, "source runtime", "cpu"),
            contract=self.contract,
            binding=fitted_to_source(self.binding, session.inputs, session.outputs),
            images=self.images,
            raw_count=raw_image_count(self.binding) if self.keeps_outputs else 0,
            progress=progress,
        )
