"""Boxes between the tensor and the original picture.

``original = (tensor - offset) / gain`` with the float64 gain of the geometry plan: for a
letterbox the ratio ``min(H / h, W / w)``, not the quotient of the rounded sides. Arithmetic is
float64, the result is rounded once to float32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.errors import InvalidInput
from phoneproof.pixels.geometry import GeometryPlan


def to_original(boxes: NDArray[np.float32], plan: GeometryPlan) -> NDArray[np.float32]:
    """Boxes in tensor pixels as boxes in pixels of the oriented original, clipped to it.

    Args:
        boxes: float32 [N, 4], x1 y1 x2 y2 in tensor pixels.
        plan: the geometry of the picture.

    Returns:
        float32 [N, 4], x1 y1 x2 y2, 0 <= x <= width and 0 <= y <= height. NaN stays NaN.

    Raises:
        InvalidInput: `boxes` is not [N, 4].
    """
    wide = _checked(boxes)
    original = (wide - _offsets(plan)) / _gains(plan)
    height, width = plan.original
    np.clip(original, 0.0, [width, height, width, height], out=original)
    return original.astype(np.float32)


def to_tensor(boxes: NDArray[np.float32], plan: GeometryPlan) -> NDArray[np.float32]:
    """Boxes in pixels of the oriented original as boxes in tensor pixels; nothing is clipped.

    Args and errors as `to_original`, the other way round.
    """
    wide = _checked(boxes)
    return (wide * _gains(plan) + _offsets(plan)).astype(np.float32)


def _checked(boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InvalidInput(
            "boxes are not a table of x1 y1 x2 y2", found=f"an array of shape {boxes.shape}"
        )
    return boxes.astype(np.float64)


def _gains(plan: GeometryPlan) -> NDArray[np.float64]:
    return np.array([plan.gain_x, plan.gain_y, plan.gain_x, plan.gain_y])


def _offsets(plan: GeometryPlan) -> NDArray[np.float64]:
    return np.array([plan.left, plan.top, plan.left, plan.top])
