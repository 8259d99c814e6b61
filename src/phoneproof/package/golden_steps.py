"""How far outputs of integer arithmetic may lie apart on two hosts that both compute it right."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.artifact import Artifact
from phoneproof.core.golden import GoldenTensor
from phoneproof.core.tolerances import FLOAT32_PROBABILITY

FREE_STEPS: Final = 2.0
"""Kernels of one specification round the same sum up or down: the last integer differs by one, and
by one more where that of the layer before did."""

_LEVELS: Final = 255
_SCORES: Final = frozenset({"scores", "objectness"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps:
    """What is free in one artifact's outputs; nothing where it computes with floats.

    integers: whether it computes with integers. scales: output -> the scale of the integers that
    its last DEQUANTIZE reads, where it has one.
    """

    integers: bool = False
    scales: dict[str, float] = field(default_factory=dict)

    def free(self, output: str, lowest: float, highest: float) -> float:
        """How far the output's float values may move.

        `FREE_STEPS` of the integers behind it; where the file does not say their scale (the last
        operators are float, or it is no TFLite file), of 8 bits over the range of the recorded
        values and zero. The greater of the two: recorded pictures rarely use the whole range.

        Args:
            lowest, highest: of the recorded values.
        """
        if not self.integers:
            return 0.0
        span = max(highest, 0.0) - min(lowest, 0.0)
        return FREE_STEPS * max(self.scales.get(output, 0.0), span / _LEVELS)

    def free_of(self, golden: GoldenTensor, stored: NDArray[Any]) -> float:
        """How far a recorded output may move: integers by `FREE_STEPS`, floats by `free`."""
        if golden.dtype.startswith(("int", "uint")):
            return FREE_STEPS
        known = stored[np.isfinite(stored)]
        lowest, highest = float(known.min(initial=0.0)), float(known.max(initial=0.0))
        return self.free(golden.name, lowest, highest)


def steps_of(artifact: Artifact, path: Path) -> Steps:
    """Read the scales of a file of integers.

    Raises:
        InvalidInput: a damaged TFLite file.
    """
    if artifact.in_floats:
        return Steps()
    if artifact.format != "tflite" or not path.is_file():
        return Steps(integers=True)
    # Other bundles are read without the extra that brings TFLite's schema.
    from phoneproof.formats.tflite import read_tflite

    graph = read_tflite(path)
    behind = {
        op.outputs[0]: graph.tensors[op.inputs[0]].quant
        for op in graph.ops
        if op.name == "DEQUANTIZE"
    }
    names = [(graph.tensors[index].name, index) for index in graph.outputs]
    scales = {
        name: quant.scale
        for name, index in (*names, *graph.signature_outputs)
        if (quant := behind.get(index)) is not None
    }
    return Steps(integers=True, scales=scales)


def score_tolerance(artifact: Artifact, free: dict[str, float]) -> float:
    """How far a probability or a score may move when the outputs move by what is `free`.

    A sigmoid's slope is at most a quarter, and no softmax moves a probability by more than half
    of what its logits move; objectness times class moves by the sum of both.
    """
    moved = {
        (one.tensor, one.role): free.get(one.tensor, 0.0)
        * (one.quant.scale if one.quant is not None else 1.0)
        * (1.0 if one.activation == "none" else 0.5)
        for one in artifact.binding.outputs
        if one.role in _SCORES
    }
    by_role = {
        role: max(value for (_, of), value in moved.items() if of == role) for _, role in moved
    }
    return FLOAT32_PROBABILITY + sum(by_role.values())
