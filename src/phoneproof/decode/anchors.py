"""From head values to boxes: the rows of the table in `phoneproof.core.binding`.

Every box leaves as xyxy in pixels of the input tensor. Each step below is one float32 operation,
rounded by itself (no fused multiply-add); ``t1..t4`` are the values after `Box.order` has put x
before y:

- grid, ltrb: ``p = cell + offset``; ``(p - t12) * stride``, ``(p + t34) * stride``;
- grid, cxcywh: centre ``(p + t12) * stride``, sides ``exp(t34) * stride``;
- yolo_anchor: centre ``(2 * t12 - .5 + cell) * stride``, sides ``(2 * t34)^2 * wh``;
- priors, ssd: ``v = t * variance``; centre ``v12 * wh + c``, sides ``exp(v34) * wh``; then as
  coordinates;
- coordinates: fractions first ``* (width, height)``; corners ``centre -+ side * .5``.

A level's grid has as many cells as its tensor where the tensor tells them apart; where all levels
are one axis of anchors, ``ceil(size / stride)`` a side, or ``floor`` where only that gives their
number. Networks that pad round up, those that crop round down.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from phoneproof.core.binding import Anchors, Box, GridAnchors, PriorAnchors, YoloAnchors
from phoneproof.core.contract import Size
from phoneproof.core.errors import InvalidInput
from phoneproof.decode.priors import prior_rows
from phoneproof.decode.results import Float

_SWAPPED = (1, 0, 3, 2)
_HALF = np.float32(0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnchorGrid:
    """float32 [A, 2] cells (x, y) in cells, [A, 1] strides in pixels, [A, 2] shapes in pixels."""

    cells: Float
    strides: Float
    shapes: Float


def to_xyxy(
    values: Float,
    box: Box,
    anchors: Anchors | None,
    size: Size,
    cells: tuple[Size, ...] | None = None,
) -> Float:
    """Boxes float32 [A, 4], xyxy in pixels of an input of `size` (height, width).

    Args:
        values: float32 [A, 4], as the file has them.
        cells: rows and columns of each level, where the tensors say so.

    Raises:
        InvalidInput: the pair of anchors and format is no row of the table, the number of
            anchors is not that of the grid or of the priors, or the priors are damaged.
    """
    if box.variances is not None and box.format != "ssd":
        raise _no_row(box, "variances without ssd")
    if box.order == "yx":
        if box.format in ("xyxy", "yxyx"):
            raise _no_row(box, "order yx")
        values = values[:, _SWAPPED]
    # A runaway exponent becomes an infinite side, which no decode keeps.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if anchors is None:
            return _coordinates(values, box, size)
        if isinstance(anchors, PriorAnchors):
            return _from_priors(values, box, anchors, size)
        return _from_grid(values, box, anchors, cells or grid_cells(anchors, size, len(values)))


def _coordinates(values: Float, box: Box, size: Size) -> Float:
    if box.units == "stride" or box.format in ("ltrb", "ssd"):
        raise _no_row(box, "no anchors")
    if box.units == "fraction":
        height, width = size
        sides = (height, width) if box.format == "yxyx" else (width, height)
        values = values * np.array([*sides, *sides], np.float32)
    if box.format == "yxyx":
        return np.ascontiguousarray(values[:, _SWAPPED])
    if box.format == "cxcywh":
        return _centred(values[:, :2], values[:, 2:])
    return values


def _from_priors(values: Float, box: Box, anchors: PriorAnchors, size: Size) -> Float:
    if box.format != "ssd" or box.units == "stride":
        raise _no_row(box, "priors")
    priors = prior_rows(anchors)
    if len(values) != len(priors):
        raise InvalidInput(
            "the number of boxes is not that of the priors",
            found=f"{len(values)} boxes, {len(priors)} priors",
            next_step="give one prior for each box, in the order of the model's output",
        )
    offsets = values * np.array(box.variances or (1, 1, 1, 1), np.float32)
    centres = offsets[:, :2] * priors[:, 2:] + priors[:, :2]
    sides = np.exp(offsets[:, 2:]) * priors[:, 2:]
    rows = np.hstack([centres, sides])
    return _coordinates(rows, Box(format="cxcywh", units=box.units), size)


def _from_grid(
    values: Float, box: Box, anchors: GridAnchors | YoloAnchors, cells: tuple[Size, ...]
) -> Float:
    grid = anchor_grid(anchors, cells)
    if len(values) != len(grid.cells):
        raise InvalidInput(
            "the number of boxes is not that of the anchor grid",
            found=f"{len(values)} boxes, {len(grid.cells)} anchors for strides "
            f"{list(anchors.strides)} with grids {_grids(cells)}",
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


def grid_cells(anchors: GridAnchors | YoloAnchors, size: Size, count: int) -> tuple[Size, ...]:
    """Rows and columns of each level of an input of `size`, from the number of anchors.

    Rounded up, or down where only that makes `count` anchors of all levels; never mixed.

    Raises:
        InvalidInput: neither does, or strides and shapes do not fit together.
    """
    shapes = level_shapes(anchors)
    height, width = size
    up = tuple((-(-height // s), -(-width // s)) for s in anchors.strides)
    down = tuple((height // s, width // s) for s in anchors.strides)
    for cells in (up, down):
        pairs = zip(shapes, cells, strict=True)
        if sum(len(wh) * rows * columns for wh, (rows, columns) in pairs) == count:
            return cells
    raise InvalidInput(
        "the number of boxes is not that of the anchor grid",
        found=f"{count} boxes; strides {list(anchors.strides)} at {height}x{width} make grids "
        f"{_grids(up)}",
        next_step="check the strides and the input size of the binding",
    )


def level_shapes(
    anchors: GridAnchors | YoloAnchors,
) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Widths and heights, in pixels, of the anchors of one cell of each level.

    Raises:
        InvalidInput: no strides, one that is not positive, or a level without shapes.
    """
    if isinstance(anchors, YoloAnchors):
        shapes = anchors.wh
    else:
        shapes = tuple(((float(stride), float(stride)),) for stride in anchors.strides)
    if not anchors.strides or min(anchors.strides) < 1 or len(shapes) != len(anchors.strides):
        raise InvalidInput(
            "the anchors of the binding do not fit together",
            found=f"strides {list(anchors.strides)} with {len(shapes)} lists of shapes",
        )
    return shapes


@lru_cache(maxsize=8)
def anchor_grid(anchors: GridAnchors | YoloAnchors, cells: tuple[Size, ...]) -> AnchorGrid:
    """The anchors of levels of `cells` (rows, columns), in the order heads are concatenated.

    Raises:
        InvalidInput: another number of levels than strides.
    """
    shapes = level_shapes(anchors)
    if len(cells) != len(anchors.strides):
        raise InvalidInput(
            "the head has another number of levels than its anchors have strides",
            found=f"{len(cells)} levels, strides {list(anchors.strides)}",
            next_step="check the levels of the binding's outputs",
        )
    levels = [
        _level(stride, wh, grid)
        for stride, wh, grid in zip(anchors.strides, shapes, cells, strict=True)
    ]
    rows = np.concatenate(levels)
    rows.setflags(write=False)
    return AnchorGrid(cells=rows[:, :2], strides=rows[:, 2:3], shapes=rows[:, 3:])


def _level(stride: int, shapes: tuple[tuple[float, float], ...], cells: Size) -> Float:
    """float32 [anchors of one stride, 5]: x, y, stride, width, height."""
    rows, columns = cells
    grid = np.empty((len(shapes), rows, columns, 5), np.float32)
    grid[..., 0] = np.arange(columns, dtype=np.float32)
    grid[..., 1] = np.arange(rows, dtype=np.float32)[:, np.newaxis]
    grid[..., 2] = stride
    grid[..., 3:] = np.array(shapes, np.float32).reshape(-1, 1, 1, 2)
    return grid.reshape(-1, 5)


def _grids(cells: tuple[Size, ...]) -> str:
    return ", ".join(f"{rows}x{columns}" for rows, columns in cells)


def _no_row(box: Box, anchors: str) -> InvalidInput:
    return InvalidInput(
        "the binding's box format has no meaning with its anchors",
        found=f"format {box.format!r}, units {box.units!r}, {anchors}",
        next_step="see the table of anchors and formats in the description of binding/1",
    )
