"""A source whose importers break, die, or give another model before one is right."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from onnx import numpy_helper

from phoneproof.capture.backends.onnx import OnnxSource
from phoneproof.capture.backends.onnx_read import read_complete
from phoneproof.capture.backends.onnx_to_hub import hub_from_onnx
from phoneproof.capture.base import HubExport, Source
from phoneproof.core.errors import ConversionFailed
from phoneproof.pipeline.capture_steps import FileSource

if TYPE_CHECKING:
    from torch.export import ExportedProgram


class _Competition(OnnxSource):
    def __init__(self, kinds: tuple[str, ...]) -> None:
        self._kinds = kinds

    def importers(
        self, path: Path, *, size: tuple[int, int], batch: int
    ) -> tuple[tuple[str, HubExport], ...]:
        shape = (batch, 3, *size)
        ways: dict[str, Callable[[], ExportedProgram]] = {
            "breaks": _breaks,
            "dies": _dies,
            "wrong": lambda: _imported(path, shape, fault=2.0),
            "right": lambda: _imported(path, shape, fault=1.0),
        }
        return tuple((kind, ways[kind]) for kind in self._kinds)


def _breaks() -> ExportedProgram:
    raise ConversionFailed("the library broke", found="an axis")


def _dies() -> ExportedProgram:
    os.abort()


def _imported(path: Path, shape: tuple[int, ...], *, fault: float) -> ExportedProgram:
    """The model with its last layer's weights times `fault`."""
    model = read_complete(path)
    for tensor in model.graph.initializer:
        if tensor.name == "dense":
            faulty = (numpy_helper.to_array(tensor) * fault).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(faulty, "dense"))
    return hub_from_onnx(model, "image", shape)


@dataclass(frozen=True, kw_only=True)
class CompetingSource(FileSource):
    """The colour classifier, read by importers of these kinds, in this order."""

    kinds: tuple[str, ...]

    def identity(self) -> tuple[str, str]:
        """The kinds decide what is made of the file."""
        return "-".join(self.kinds), self.sha256

    def reader(self) -> Source:
        """Looked up in the worker, from this module."""
        return _Competition(self.kinds)
