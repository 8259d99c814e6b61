"""Steps that make artifacts, run them and measure them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from phoneproof.convert.routes import Link
from phoneproof.core.apple import AppleForm
from phoneproof.core.artifact import Artifact, Lineage, WrittenModel, tree_bytes, tree_sha256
from phoneproof.core.binding import Binding, Format, Layout, Precision
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.core.events import Progress
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.core.recipe import Recipe
from phoneproof.optimize.read_bounds import RANGES
from phoneproof.pipeline.prediction import RUNTIME_FILE, RuntimeInfo, raw_image_count, write_run
from phoneproof.pipeline.step import StepResult

MADE = "made.json"
PURE = 0.01
"""A file whose weights are of one precision but for this share is called by that precision."""

_FILE: dict[Format, str] = {
    "onnx": "model_float32.onnx",
    "tflite": "model_float32.tflite",
    "saved_model": "saved_model",
    "coreml": "model_float32.mlpackage",
    "coreai": "model_float32.aimodel",
}


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """The file a step wrote, and what was said of it."""

    file: str
    model: WrittenModel

    def keep(self, output: Path) -> None:
        """Write ``made.json`` beside the file."""
        (output / MADE).write_bytes(pretty_bytes(self))


@dataclass(frozen=True, kw_only=True)
class ConvertStep:
    """One link: a file of one format -> one of another, with contract and binding inside.

    binding: of the source file. label: the id of what is made; people see it. apple: how a Core
    ML file is written. licence: of the source, as it says itself.
    """

    link: Link
    label: str
    source: Path
    source_sha256: str
    contract: Contract
    binding: Binding
    layout: Layout
    opset: int
    apple: AppleForm = field(default_factory=AppleForm)
    licence: str = ""

    tools = (
        "torch",
        "coremltools",
        "coreai-core",
        "coreai-torch",
        "onnx",
        "onnxscript",
        "litert-torch",
        "ai-edge-litert",
        "tensorflow-cpu",
        "numpy",
    )

    @property
    def name(self) -> str:
        """Named by what it writes."""
        return f"convert {self.label}"

    def identity(self) -> object:
        """The source and everything chosen about the result."""
        opset = self.opset if self.link.target == "onnx" else None
        apple = (self.apple, self.licence) if self.link.target == "coreml" else None
        edge = self.link.edge
        return edge, self.source_sha256, self.contract, self.binding, self.layout, opset, apple

    def run(self, output: Path, progress: Progress) -> None:
        """Write the file and ``made.json``."""
        from phoneproof.convert.base import CONVERTERS, ConvertRequest

        del progress
        file = _FILE[self.link.target]
        model = CONVERTERS.load(self.link.edge).convert(
            ConvertRequest(
                source=self.source,
                contract=self.contract,
                binding=self.binding,
                layout=self.layout,
                opset=self.opset,
                apple=self.apple,
                licence=self.licence,
                output=output / file,
            )
        )
        Made(file=file, model=model).keep(output)


@dataclass(frozen=True, kw_only=True)
class OptimizeStep:
    """Artifact -> candidate with other numbers.

    label: the recipe as people read it. ranges: the folder that holds ``ranges.json`` of the
    artifact, where the recipe needs them.
    """

    label: str
    format: Format
    recipe: Recipe
    artifact: Path
    artifact_sha256: str
    contract: Contract
    binding: Binding
    ranges: Path | None = None

    tools = (
        "ai-edge-quantizer",
        "ai-edge-litert",
        "coremltools",
        "onnx",
        "onnxruntime",
        "torch",
        "numpy",
    )

    @property
    def name(self) -> str:
        """Named by what it writes."""
        return f"optimize {self.format}-{self.label}"

    def identity(self) -> object:
        """The artifact, the recipe, and where its ranges come from (by their address)."""
        ranges = self.ranges.name if self.ranges is not None else None
        return self.format, self.recipe, self.artifact_sha256, self.contract, self.binding, ranges

    def run(self, output: Path, progress: Progress) -> None:
        """Write the file and ``made.json``."""
        from phoneproof.optimize.base import OPTIMIZERS, OptimizeRequest, optimizer_for

        del progress
        file = f"model_candidate{self.artifact.suffix}"
        model = OPTIMIZERS.load(optimizer_for(self.format, self.recipe)).propose(
            OptimizeRequest(
                artifact=self.artifact,
                contract=self.contract,
                binding=self.binding,
                recipe=self.recipe,
                output=output / file,
                ranges=self.ranges / RANGES if self.ranges is not None else None,
            )
        )
        Made(file=file, model=model).keep(output)


@dataclass(frozen=True, kw_only=True)
class MadeArtifact:
    """An artifact and where its file lies now."""

    artifact: Artifact
    path: Path


def made_artifact(
    result: StepResult,
    *,
    requested: Precision,
    parent: str,
    step: str,
    suffix: str = "",
    folder: str = "artifacts",
) -> MadeArtifact:
    """The artifact that a convert or optimize step left, addressed by its content.

    suffix: of the id, where another route makes the same format. folder: of the bundle.
    """
    made = parse((result.folder / MADE).read_bytes(), Made, what=f"record of {step}")
    path = result.folder / made.file
    sha256 = tree_sha256(path)
    binding = msgspec.structs.replace(made.model.binding, artifact=sha256)
    artifact = Artifact(
        id=f"{binding.format}-{binding.precision}{suffix}",
        format=binding.format,
        requested=requested,
        precision=binding.precision,
        path=f"{folder}/{_shipped_name(binding, path)}",
        bytes=tree_bytes(path),
        sha256=sha256,
        binding=binding,
        lineage=Lineage(
            parent=parent,
            step=step,
            options=made.model.options,
            tools=made.model.tools,
            seconds=result.record.seconds,
            peak_rss_bytes=result.record.peak_rss_bytes,
        ),
    )
    return MadeArtifact(artifact=artifact, path=path)


def _shipped_name(binding: Binding, path: Path) -> str:
    """Hub programs and SavedModels keep their names; ONNX has one precision so far, and apps
    expect the plain name.
    """
    if binding.format in ("hub", "saved_model"):
        return path.name
    if _is_plain(binding):
        return f"model{path.suffix}"
    return f"model_{binding.precision}{path.suffix}"


def _is_plain(binding: Binding) -> bool:
    return binding.format == "onnx" and binding.precision == "float32"


@dataclass(frozen=True, kw_only=True)
class PredictStep:
    """Run one artifact (or the hub) over the evaluation images -> a prediction folder.

    keeps_outputs: whether the raw outputs of the first images are kept.
    """

    label: str
    format: Format
    path: Path
    sha256: str
    contract: Contract
    binding: Binding
    images: ImageSet
    keeps_outputs: bool = True

    tools = (
        "numpy",
        "opencv-python-headless",
        "pillow",
        "torch",
        "onnxruntime",
        "ai-edge-litert",
        "tensorflow-cpu",
        "coremltools",
        "coreai-core",
    )

    @property
    def name(self) -> str:
        """Named by what runs."""
        return f"run {self.label}"

    def identity(self) -> object:
        """The file, how it is fed, and on which images; not their labels."""
        return (
            self.format,
            self.sha256,
            self.contract,
            self.binding,
            self.images.ref,
            self.keeps_outputs,
        )

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``predictions/`` and ``runtime.json``."""
        from phoneproof.runtimes.base import RUNTIMES

        runtime = RUNTIMES.load(self.format)
        write_run(
            output,
            runtime.open(self.path),
            runtime=(runtime.name, runtime.version, runtime.device),
            contract=self.contract,
            binding=self.binding,
            images=self.images,
            raw_count=raw_image_count(self.binding) if self.keeps_outputs else 0,
            progress=progress,
        )


def runtime_info(folder: Path) -> RuntimeInfo:
    """Which runtime made the predictions in `folder`."""
    return parse((folder / RUNTIME_FILE).read_bytes(), RuntimeInfo, what="runtime record")
