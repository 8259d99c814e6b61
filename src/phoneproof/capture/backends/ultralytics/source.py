"""YOLOv5 and Ultralytics checkpoints as a source: inspection, baseline session, hub export."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.export import ExportedProgram

from phoneproof.capture.backends.ultralytics.blocks.network import Network
from phoneproof.capture.backends.ultralytics.description import (
    DETECTIONS,
    Description,
    describe,
    head_of,
    preset_of,
)
from phoneproof.capture.backends.ultralytics.evidence import evidence_of, image_size, labels_of
from phoneproof.capture.backends.ultralytics.findings import findings_of
from phoneproof.capture.backends.ultralytics.hazards import hazards_of
from phoneproof.capture.backends.ultralytics.rebuild import rebuild
from phoneproof.capture.base import HubExport
from phoneproof.capture.heads import unlike_ranges
from phoneproof.core.artifact import file_sha256
from phoneproof.core.capture import Inspection
from phoneproof.core.contract import Task
from phoneproof.core.errors import ConversionFailed
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.base import Session, Tensor, Tensors
from phoneproof.runtimes.tensors import check_tensors

IMAGE = "image"


class UltralyticsSource:
    """Reads .pt checkpoints without running them and without the ultralytics package."""

    def recognises(self, path: Path) -> bool:
        """By name: a damaged file or a pointer shall reach the reader's messages too."""
        return path.is_file() and path.suffix.lower() in (".pt", ".pth")

    def inspect(self, path: Path) -> Inspection:
        """Everything the file says; no weight but the head's strides is read.

        Raises:
            InvalidInput: truncated, hostile, a Git-LFS pointer, or contradicting itself.
            Unsupported: a family that is not rebuilt; the message gives the export line.
        """
        description = describe(path)
        size, size_finding = image_size(description)
        inputs, outputs = _specs(description, size, batch=1)
        head = head_of(description.architecture, size, batch=1)
        shared = unlike_ranges(head)
        task: Task = "detect" if outputs[0].name == DETECTIONS else "classify"
        return Inspection(
            format="ultralytics",
            sha256=file_sha256(path),
            bytes=path.stat().st_size,
            inputs=inputs,
            outputs=outputs,
            layout="NCHW",
            channels=description.architecture.channels,
            size=size,
            task=task,
            head=head,
            preset=preset_of(description.architecture),
            labels=labels_of(description),
            evidence=evidence_of(description),
            findings=(*findings_of(description), size_finding),
            hazards=(*hazards_of(description), *((shared,) if shared else ())),
        )

    def open(self, path: Path, *, size: tuple[int, int], batch: int) -> Session:
        """The rebuilt network in eager PyTorch, float32, on the CPU."""
        description = describe(path)
        return _RebuiltSession(rebuild(description, size), *_specs(description, size, batch))

    def importers(
        self, path: Path, *, size: tuple[int, int], batch: int
    ) -> tuple[tuple[str, HubExport], ...]:
        """One way: torch.export of the rebuilt network."""
        return (("rebuilt", partial(_export, path, size, batch)),)


def _export(path: Path, size: tuple[int, int], batch: int) -> ExportedProgram:
    description = describe(path)
    network = rebuild(description, size)
    image = torch.zeros(batch, description.architecture.channels, *size)
    try:
        return torch.export.export(network, (image,), strict=False)
    except Exception as error:  # torch.export raises many kinds; a rebuilt network has no excuse
        raise ConversionFailed(
            f"{path.name}: the rebuilt network cannot be exported",
            found=f"{type(error).__name__}: {str(error)[:200]}",
            next_step="report this with the checkpoint's architecture ('phoneproof inspect')",
        ) from error


def _specs(
    description: Description, size: tuple[int, int], batch: int
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    shape = (batch, description.architecture.channels, *size)
    head = head_of(description.architecture, size, batch)
    output = TensorSpec(name=head.outputs[0].tensor, shape=head.outputs[0].shape, dtype="float32")
    return (TensorSpec(name=IMAGE, shape=shape, dtype="float32"),), (output,)


class _RebuiltSession:
    def __init__(
        self, network: Network, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
    ) -> None:
        self._network = network
        self.inputs = inputs
        self.outputs = outputs

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        check_tensors(self.inputs, tensors)
        # A copy: torch refuses read-only arrays with a warning, and NumPy may hold a view.
        image = torch.from_numpy(np.array(tensors[IMAGE], order="C"))
        with torch.inference_mode():
            result = self._network(image)
        return {self.outputs[0].name: result.numpy().copy()}
