"""A detector's pipeline in the reference interpreter: its programs on torch, then NMS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from phoneproof.core.errors import InvalidInput
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.coreml.file import CoreMlFile
from phoneproof.formats.coreml.nms import (
    CONFIDENCE,
    COORDINATES,
    RAW_CONFIDENCE,
    RAW_COORDINATES,
    suppression_of,
)
from phoneproof.formats.coreml.pipeline import stages
from phoneproof.runtimes.base import Tensor, Tensors
from phoneproof.runtimes.coreml_nms import suppressed

if TYPE_CHECKING:
    from phoneproof.runtimes.backends.coreml import MilSession


class PipelineSession:
    """The models of a pipeline one after the other; thresholds are those inside the file.

    Raises:
        InvalidInput: damaged, or models that do not fit each other.
        Unsupported: another pipeline than a detector's.
    """

    def __init__(self, file: CoreMlFile) -> None:
        from phoneproof.runtimes.backends.coreml import MilSession

        network, boxes, nms = stages(file)
        self._network: MilSession = MilSession(network)
        self._boxes: MilSession = MilSession(boxes)
        self._nms = suppression_of(nms.spec)
        given = {spec.name: spec.shape for spec in self._network.outputs}
        asked = {spec.name: spec.shape for spec in self._boxes.inputs}
        made = {spec.name for spec in self._boxes.outputs}
        if not asked.items() <= given.items() or made != {RAW_CONFIDENCE, RAW_COORDINATES}:
            raise InvalidInput(
                f"the models of the pipeline {file.name} do not fit each other",
                found=f"{', '.join(given)}; then {', '.join(asked)}; then {', '.join(made)}",
            )

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The network's; the two optional thresholds are left to the file."""
        return self._network.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """``confidence`` [N, classes] and ``coordinates`` [N, 4]; -1 for N."""
        return tuple(
            TensorSpec(name=name, shape=(-1, width), dtype="float32")
            for name, width in ((CONFIDENCE, len(self._nms.labels)), (COORDINATES, 4))
        )

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        """Run once; errors as `Session.run`."""
        made = self._network.run(tensors)
        found = self._boxes.run({spec.name: made[spec.name] for spec in self._boxes.inputs})
        confidence, coordinates = found[RAW_CONFIDENCE], found[RAW_COORDINATES]
        kept = suppressed(confidence, coordinates, self._nms)
        return {CONFIDENCE: confidence[kept], COORDINATES: coordinates[kept]}

    def trace(self, tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
        """Every computed float value of the network."""
        yield from self._network.trace(tensors)
