"""Results of one image, in the pixels of the oriented original."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Index = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Classification:
    """probabilities: float32 [C], indexed like the contract's labels (background included)."""

    probabilities: Float


@dataclass(frozen=True, kw_only=True, slots=True)
class Detections:
    """boxes: float32 [K, 4] xyxy; scores: float32 [K]; classes: int64 [K], label indices.

    Ordered by score descending, then by the anchor's index, then by class.
    """

    boxes: Float
    scores: Float
    classes: Index


@dataclass(frozen=True, kw_only=True, slots=True)
class RawOutputs:
    """tensors: (name, array) pairs exactly as the model gave them, dequantised to float32."""

    tensors: tuple[tuple[str, NDArray[Any]], ...]


Results = Classification | Detections | RawOutputs
