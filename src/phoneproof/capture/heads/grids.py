"""Grids of anchors: how many cells a level has, and which stride a grid belongs to."""

from __future__ import annotations

from typing import Final

from phoneproof.core.contract import Size

STRIDES: Final = (8, 16, 32)
"""YOLOv5 .. YOLO11 and YOLOX: three levels, at an eighth, a sixteenth and a 32nd of the image."""
_KNOWN_STRIDES: Final = (4, 8, 16, 32, 64, 128)


def fits_cells(anchors: int, size: Size | None, shapes: int = 1) -> bool:
    """Whether there are `shapes` anchors a cell of `STRIDES`; an open size fits any number.

    Networks that pad have ``ceil(side / stride)`` cells a side, those that crop ``floor``.
    """
    if anchors < 0 or size is None:
        return True
    height, width = size
    up = sum(-(-height // s) * -(-width // s) for s in STRIDES)
    down = sum((height // s) * (width // s) for s in STRIDES)
    return anchors in (shapes * up, shapes * down)


def stride_of(grid: Size, size: Size) -> int | None:
    """The smallest usual stride that makes a grid of an input of `size`; None for none."""
    for stride in _KNOWN_STRIDES:
        pairs = zip(grid, size, strict=True)
        if all(max(1, side // stride) <= n <= -(-side // stride) for n, side in pairs):
            return stride
    return None
