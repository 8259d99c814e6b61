"""A detector's pipeline in the reference interpreter: its programs on torch, then NMS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.errors import InvalidInput
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.coreml.file import CoreMlFile
from phoneproof.formats.coreml.nms import (
    CONFIDENCE,
    COORDINATES,
    RAW_CONFIDENCE,
    RAW_COORDINATES,
    Suppression,
    suppression_of,
)
from phoneproof.formats.coreml.pipeline import stages
from phoneproof.runtimes.base import Tensor, Tensors

if TYPE_CHECKING:
    from phoneproof.runtimes.backends.coreml import MilSession

_EDGES: Final = 0.5


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


def suppressed(
    confidence: NDArray[Any], coordinates: NDArray[Any], what: Suppression
) -> NDArray[np.int64]:
    """Rows that are kept, best first, as ``NonMaximumSuppression.proto`` (PickTop) describes it.

    Boxes below the confidence threshold go first. Of the others the best is kept, and those whose
    IoU with it is above the limit go (at 1 none does), of its own best class alone where that is
    asked for; then the best of what is left. Equal confidences keep the order of their rows.

    Args:
        confidence: float [N, classes]. coordinates: float [N, 4], centre and sides.
    """
    best = confidence.max(axis=1)
    rows = np.flatnonzero(best >= what.confidence)
    rows = rows[np.argsort(-best[rows], kind="stable")]
    classes = confidence[rows].argmax(axis=1)
    centres, sides = np.split(coordinates[rows].astype(np.float64), 2, axis=1)
    corners = np.concatenate([centres - sides * _EDGES, centres + sides * _EDGES], axis=1)
    alive = np.ones(len(rows), np.bool_)
    kept: list[int] = []
    for place in range(len(rows)):
        if not alive[place]:
            continue
        kept.append(place)
        near = _iou(corners[place], corners) > what.iou
        if what.per_class:
            near &= classes == classes[place]
        alive &= ~near
    return rows[kept]


def _iou(one: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 [N]; of two empty boxes 0."""
    inner = np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2])
    shared = np.prod(np.maximum(inner, 0.0), axis=1)
    areas = np.prod(np.maximum(others[:, 2:] - others[:, :2], 0.0), axis=1)
    union = areas + np.prod(np.maximum(one[2:] - one[:2], 0.0)) - shared
    found: NDArray[np.float64] = np.zeros_like(union)
    np.divide(shared, union, out=found, where=union > 0)
    return found
