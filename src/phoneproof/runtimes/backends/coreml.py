"""Core ML models: with Core ML itself on a Mac, elsewhere with the reference interpreter.

What goes in is what the model's program sees: for an image input float32 (or uint8) of the raw
pixel values 0..255, [1, C, height, width] in the file's channel order; scale and bias, where the
file has them, are its own operations.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
import torch

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.coreml.blob import BlobFile
from phoneproof.formats.coreml.description import (
    ArrayFeature,
    Description,
    Feature,
    ImageFeature,
    OtherFeature,
    description_of,
)
from phoneproof.formats.coreml.file import CoreMlFile, read_coreml
from phoneproof.formats.coreml.pipeline import PIPELINE
from phoneproof.formats.coreml.program import NamedType, TensorType
from phoneproof.formats.coreml.program_read import program_of
from phoneproof.runtimes.backends.coreml_network.session import open_network
from phoneproof.runtimes.backends.coreml_pipeline import PipelineSession
from phoneproof.runtimes.backends.mil_torch.float16 import KINDS
from phoneproof.runtimes.backends.mil_torch.module import MilModule
from phoneproof.runtimes.base import Session, Tensor, Tensors, TracingSession
from phoneproof.runtimes.float16_finding import Float16Finding
from phoneproof.runtimes.tensors import check_tensors, dtype_of

ON_A_MAC = sys.platform == "darwin"
REFERENCE: Final = ("MIL reference interpreter", f"torch {torch.__version__}")
"""Name and version of what runs packages wherever Core ML does not."""


class CoreMlRuntime:
    """Core ML on macOS; elsewhere MIL programs interpreted by PyTorch, which is never called
    Core ML: it proves the file, not the phone."""

    name = "Core ML" if ON_A_MAC else REFERENCE[0]
    version = f"coremltools {version('coremltools')}" if ON_A_MAC else REFERENCE[1]
    device = "cpu"

    def open(self, path: Path, *, threads: int = 0) -> Session:
        """Open a ``.mlpackage`` or ``.mlmodel``. `threads` other than 0 is process-wide.

        Raises:
            InvalidInput: damaged, or without its weights.
            Unsupported: an operation or a kind of model that is not interpreted.
        """
        if ON_A_MAC:
            from phoneproof.runtimes.backends.coreml_native import open_native

            return open_native(path)
        if threads:
            torch.set_num_threads(threads)
        return self.open_for_trace(path)

    def open_for_trace(self, path: Path) -> TracingSession:
        """Open in the reference interpreter, also on a Mac: Core ML shows no intermediates."""
        file = read_coreml(path)
        if file.kind == "mlProgram":
            return MilSession(file)
        if file.kind == PIPELINE:
            return PipelineSession(file)
        return open_network(file)


class MilSession:
    """A Core ML program in the reference interpreter.

    Args:
        file: of kind ``mlProgram``.
        count_float16: whether runs note what float16 values lose, for `float16_findings`; it
            costs about as much again as a float16 run.
    """

    def __init__(self, file: CoreMlFile, *, count_float16: bool = False) -> None:
        description = description_of(file)
        self._count = count_float16
        self._module = open_module(file)
        self._inputs = _specs(file.name, description.inputs, self._module.inputs)
        self._outputs = _specs(file.name, description.outputs, self._module.outputs)
        self._images = {item.name for item in description.inputs if isinstance(item, ImageFeature)}
        self.description: Description = description

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """As the description lists them; images as float32 [1, C, height, width]."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """As the description lists them; of a classifier the probabilities, without the label."""
        return self._outputs

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        """Run once; errors as `Session.run`."""
        results = self._module.run(self._fed(tensors), count=self._count)
        return self._given(results)

    def trace(self, tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
        """Every computed float value, in the program's order, as float32."""
        seen: list[tuple[str, Tensor]] = []

        def watch(name: str, value: torch.Tensor) -> None:
            if value.is_floating_point():
                seen.append((name, value.numpy().copy()))

        self._module.run(self._fed(tensors), watch)
        yield from seen

    def float16_findings(self) -> tuple[Float16Finding, ...]:
        """What each operation's float16 outputs lost in all runs so far, in the program's order;
        empty unless opened with `count_float16`."""
        return self._module.float16_findings()

    def _fed(self, tensors: Tensors) -> dict[str, torch.Tensor]:
        wide = {name: self._pixels(name, value) for name, value in tensors.items()}
        check_tensors(self._inputs, wide)
        fed = {}
        for item in self._module.inputs:
            # A copy: torch refuses read-only arrays with a warning.
            fed[item.name] = torch.from_numpy(np.array(wide[item.name])).to(_kept_in(item))
        return fed

    def _pixels(self, name: str, value: Tensor) -> Tensor:
        whole = name in self._images and isinstance(value, np.ndarray) and value.dtype == np.uint8
        return value.astype(np.float32) if whole else value

    def _given(self, results: Mapping[str, torch.Tensor]) -> dict[str, Tensor]:
        # np.array: an output may alias an input, a constant or another output.
        return {
            spec.name: np.array(results[spec.name].numpy(), dtype=spec.dtype)
            for spec in self._outputs
        }


def open_module(file: CoreMlFile) -> MilModule:
    """A Core ML program for the shapes that its description gives.

    Raises:
        InvalidInput, Unsupported: as `CoreMlRuntime.open`.
    """
    shapes = _shapes(description_of(file).inputs)
    return MilModule(program_of(file), _Blobs(file).open, file.name, shapes)


def open_counting(path: Path) -> MilSession:
    """A session of the reference interpreter that notes what float16 values lose.

    Raises:
        InvalidInput, Unsupported: as `CoreMlRuntime.open`.
    """
    return MilSession(read_coreml(path), count_float16=True)


class _Blobs:
    """A model's files of weights, each opened once."""

    def __init__(self, file: CoreMlFile) -> None:
        self._file = file
        self._open: dict[str, BlobFile] = {}

    def open(self, reference: str) -> BlobFile:
        if reference not in self._open:
            self._open[reference] = BlobFile(self._file.beside(reference), self._file.name)
        return self._open[reference]


def _kept_in(item: NamedType) -> torch.dtype:
    assert isinstance(item.type, TensorType)
    return KINDS[item.type.dtype]


def _shapes(features: tuple[Feature, ...]) -> dict[str, tuple[int, ...]]:
    """Of inputs, as the description has them; the default where several sizes are allowed."""
    return {
        item.name: item.shape for item in features if isinstance(item, (ImageFeature, ArrayFeature))
    }


def _specs(
    name: str, features: tuple[Feature, ...], types: tuple[NamedType, ...]
) -> tuple[TensorSpec, ...]:
    """What the description promises, with the program's shapes.

    Raises:
        InvalidInput: the program has no such value.
        Unsupported: neither a tensor nor an image.
    """
    by_name = {item.name: item.type for item in types}
    found = []
    for feature in features:
        type_ = by_name.get(feature.name)
        if isinstance(feature, OtherFeature) and type_ is None and feature.kind in _LABELS:
            continue  # a classifier's best label: its probabilities say it
        if not isinstance(type_, TensorType):
            raise InvalidInput(
                f"the description of {name} does not fit its program",
                found=f"{feature.name!r} is described, but no value of the program",
            )
        dtype = dtype_of(_dtype(name, feature), feature.name)
        found.append(TensorSpec(name=feature.name, shape=type_.shape, dtype=dtype))
    return tuple(found)


_LABELS: Final = ("string", "int64")
"""What a classifier's best label may be; its probabilities are a dictionary."""


def _dtype(name: str, feature: Feature) -> str:
    if isinstance(feature, ArrayFeature):
        return feature.dtype
    if isinstance(feature, ImageFeature) or feature.kind == "dictionary":
        return "float32"
    raise Unsupported(
        f"{name} takes or gives what is no tensor", found=f"{feature.name!r}: {feature.kind}"
    )
