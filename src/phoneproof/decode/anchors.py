"""From head values to boxes: the rows of the table in `phoneproof.core.binding`.

Every box leaves as xyxy in pixels of the input tensor. Grids have ``ceil(size / stride)`` cells a
side; anchors are ordered by stride (as the binding lists them), then anchor shape, row, column.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from phoneproof.core.binding import Anchors, Box, GridAnchors, PriorAnchors, YoloAnchors
from phoneproof.core.contract import Size
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.decode.results import Float

_HALF = np.float32(0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnchorGrid:
    """float32 [A, 2] cells (x, y) in cells, [A, 1] strides in pixels, [A, 2] shapes in pixels."""

    cells: Float
    strides: Float
    shapes: Float


def to_xyxy(values: Float, box: Box, anchors: Anchors | None, size: Size) -> Float:
    """Boxes float32 [A, 4], xyxy in pixels of an input of `size` (height, width).

    Raises:
        InvalidInput: the pair of anchors and format is no row of the table, or the number of
            anchors is not that of the grid.
        Unsupported: priors (SSD heads).
    """
    if isinstance(anchors, PriorAnchors) or box.format == "ssd":
        raise Unsupported(
            "heads with SSD priors are not decoded by this version",
            found=f"box format {box.format!r}",
            next_step="keep the box decode inside the model, so that boxes are coordinates",
        )
    # A runaway exponent becomes an infinite side, which no decode keeps.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if anchors is None:
            return _coordinates(values, box, size)
        return _from_grid(values, box, anchors, size)


def _coordinates(values: Float, box: Box, size: Size) -> Float:
    if box.units == "stride" or box.format == "ltrb":
        raise _no_row(box, "no anchors")
    if box.units == "fraction":
        height, width = size
        sides = (height, width) if box.format == "yxyx" else (width, height)
        values = values * np.array([*sides, *sides], np.float32)
    if box.format == "yxyx":
        return np.ascontiguousarray(values[:, [1, 0, 3, 2]])
    if box.format == "cxcywh":
        return _centred(values[:, :2], values[:, 2:])
    return values


def _from_grid(values: Float, box: Box, anchors: GridAnchors | YoloAnchors, size: Size) -> Float:
    grid = anchor_grid(anchors, size)
    if len(values) != len(grid.cells):
        raise InvalidInput(
            "the number of boxes is not that of the anchor grid",
            found=f"{len(values)} boxes, {len(grid.cells)} anchors for strides "
            f"{list(anchors.strides)} at {size[0]}x{size[1]}",
            next_step="check the strides and the input size of the binding",
        )
    if box.units == "fraction":
        raise _no_row(box, "grid anchors, in fractions")
    first, last = values[:, :2], values[:, 2:]
    if isinstance(anchors, YoloAnchors):
        if box.format != "cxcywh":
            raise _no_row(box, "yolo_anchor")
        two = np.float32(2)
        return _centred(
            (two * first - _HALF + grid.cells) * grid.strides, (two * last) ** 2 * grid.shapes
        )
    points = grid.cells + np.float32(anchors.offset)
    if box.format == "ltrb":
        return np.hstack([points - first, points + last]) * grid.strides
    if box.format == "cxcywh":
        return _centred((points + first) * grid.strides, np.exp(last) * grid.strides)
    raise _no_row(box, "grid")


def _centred(centres: Float, sides: Float) -> Float:
    half = sides * _HALF
    return np.hstack([centres - half, centres + half])


@lru_cache(maxsize=8)
def anchor_grid(anchors: GridAnchors | YoloAnchors, size: Size) -> AnchorGrid:
    """The anchors of an input of `size` (height, width), in the order heads are concatenated."""
    shapes: tuple[tuple[tuple[float, float], ...], ...]
    if isinstance(anchors, YoloAnchors):
        shapes = anchors.wh
    else:
        shapes = tuple(((float(stride), float(stride)),) for stride in anchors.strides)
    if not anchors.strides or min(anchors.strides) < 1 or len(shapes) != len(anchors.strides):
        raise InvalidInput(
            "the anchors of the binding do not fit together",
            found=f"strides {list(anchors.strides)} with {len(shapes)} lists of shapes",
        )
    levels = [_level(stride, wh, size) for stride, wh in zip(anchors.strides, shapes, strict=True)]
    rows = np.concatenate(levels)
    rows.setflags(write=False)
    return AnchorGrid(cells=rows[:, :2], strides=rows[:, 2:3], shapes=rows[:, 3:])


def _level(stride: int, shapes: tuple[tuple[float, float], ...], size: Size) -> Float:
    """float32 [anchors of one stride, 5]: x, y, stride, width, height."""
    rows, columns = (-(-side // stride) for side in size)
    grid = np.empty((len(shapes), rows, columns, 5), np.float32)
    grid[..., 0] = np.arange(columns, dtype=np.float32)
    grid[..., 1] = np.arange(rows, dtype=np.float32)[:, np.newaxis]
    grid[..., 2] = stride
    grid[..., 3:] = np.array(shapes, np.float32)[:, np.newaxis, np.newaxis]
    return grid.reshape(-1, 5)


def _no_row(box: Box, anchors: str) -> InvalidInput:
    return InvalidInput(
        "the binding's box format has no meaning with its anchors",
        found=f"format {box.format!r}, units {box.units!r}, {anchors}",
        next_step="see the table of anchors and formats in the description of binding/1",
    )
