"""The link that goes back: an ONNX artifact captured as a hub program again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.errors import ConversionFailed, PhoneproofError, Unsupported
from phoneproof.core.events import Progress

if TYPE_CHECKING:
    import torch

    from phoneproof.capture.base import HubExport

_FILE = "hub.pt2"


@dataclass(frozen=True, kw_only=True)
class ReimportStep:
    """ONNX artifact -> hub program with its tensor names, contract and binding inside.

    binding: of the ONNX file. label: the id of what is made.
    """

    label: str
    source: Path
    source_sha256: str
    contract: Contract
    binding: Binding

    tools = ("torch", "onnx", "onnx2torch", "onnxslim", "numpy")

    @property
    def name(self) -> str:
        """Named by what it writes."""
        return f"import {self.label}"

    def identity(self) -> object:
        """The source and how it is bound."""
        return self.source_sha256, self.contract, self.binding

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``hub.pt2`` and ``made.json``.

        Raises:
            PhoneproofError: what the last importer raised, where none gave a program.
        """
        from phoneproof.capture.base import SOURCES
        from phoneproof.core.artifact import WrittenModel
        from phoneproof.core.tensors import TensorSpec
        from phoneproof.formats.metadata import Embedded, embedding
        from phoneproof.pipeline.artifact_steps import Made
        from phoneproof.pipeline.step import tool_versions
        from phoneproof.runtimes.backends.hub import save_hub
        from phoneproof.runtimes.base import RUNTIMES

        del progress
        session = RUNTIMES.load("onnx").open(self.source)
        importers = SOURCES.load("onnx").importers(
            self.source, size=self.contract.image.size, batch=self.binding.batch
        )
        importer, program = _first(importers)
        image = self.binding.image
        inputs = (TensorSpec(name=image.tensor, shape=image.shape, dtype=image.dtype),)
        binding = msgspec.structs.replace(self.binding, artifact=None, format="hub")
        entries = embedding(Embedded(contract=self.contract, binding=binding))
        save_hub(program, output / _FILE, inputs, session.outputs, entries)
        model = WrittenModel(
            binding=binding,
            options=(("importer", importer),),
            tools=tool_versions(("onnx2torch", "torch")),
        )
        Made(file=_FILE, model=model).keep(output)


def _first(
    importers: tuple[tuple[str, HubExport], ...],
) -> tuple[str, torch.export.ExportedProgram]:
    """The first importer that gives a program; what it computes is judged later."""
    failed: PhoneproofError | None = None
    for name, export in importers:
        try:
            return name, export()
        except (ConversionFailed, Unsupported) as error:
            failed = error
    assert failed is not None  # a source has at least one importer
    raise failed
