"""The optimizer Protocol and the table of optimizers."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.registry import Entry, Registry


class OptimizeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The artifact to change (a file the optimizer may not touch) and where to write.

    float32_share: of the weight bytes that result, how many may stay float32 for accuracy's sake.
    """

    artifact: Path
    contract: Contract
    binding: Binding
    float32_share: float
    output: Path


class Optimizer(Protocol):
    """Artifact -> candidate. Proposes, never judges."""

    def propose(self, request: OptimizeRequest) -> WrittenModel:
        """Write one candidate.

        Raises:
            OptimizationFailed: the library broke.
        """
        ...


OPTIMIZERS: Registry[Optimizer] = Registry(
    "optimizer",
    {
        "tflite-float16": Entry(
            target="phoneproof.optimize.backends.tflite_float16:TfliteFloat16",
            summary="TFLite float32 -> float16 weights",
            extra="android",
        ),
    },
)
"""Keyed by ``format-precision`` of what they write."""
