"""Distances as distributions over bins (DFL: YOLOv8, YOLO11, NanoDet, PicoDet, GFL)."""

from __future__ import annotations

import numpy as np

from phoneproof.core.errors import InvalidInput
from phoneproof.decode.results import Float


def expected_distances(logits: Float) -> Float:
    """Distances left, top, right, bottom in strides, float32 [A, 4].

    For each side the expectation of the bin's number k = 0, 1, ... under a softmax: with m the
    largest logit, ``e_k = exp(x_k - m)``, ``sum(e_k * k) / sum(e_k)``. Both sums run over k
    upwards, one float32 rounding an addition, and there is one division: the same bits wherever
    `exp` is the same.

    Args:
        logits: float32 [A, 4 * bins], the bins of a side together, bin 0 first.

    Raises:
        InvalidInput: the width is not four times at least two bins.
    """
    width = logits.shape[1]
    if width % 4 or width < 8:
        raise InvalidInput(
            "dfl must have four times as many values an anchor as a side has bins",
            found=f"{width}",
            next_step="check the axes and the slice of the binding's output",
        )
    bins = width // 4
    # Anchors last: every addition below runs over neighbours in memory.
    sides = np.ascontiguousarray(logits.T).reshape(4, bins, len(logits))
    total = np.zeros((4, len(logits)), np.float32)
    weighted = np.zeros((4, len(logits)), np.float32)
    with np.errstate(under="ignore", invalid="ignore"):
        powers = sides - sides.max(axis=1, keepdims=True)
        np.exp(powers, out=powers)
        for k in range(bins):
            total += powers[:, k]
            weighted += powers[:, k] * np.float32(k)
        distances: Float = np.divide(weighted, total, dtype=np.float32)
    return np.ascontiguousarray(distances.T)
