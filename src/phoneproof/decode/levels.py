"""The levels of a head: one role's rows in the order of the anchors, and the grids they cover."""

from __future__ import annotations

from phoneproof.core.binding import Binding, OutputBinding, PriorAnchors, Role
from phoneproof.core.contract import Size
from phoneproof.core.errors import InvalidInput
from phoneproof.decode.results import Float
from phoneproof.decode.values import CELL_FIRST, SHAPE_FIRST, Outputs, level_cells, role_rows


def grids_of(binding: Binding, parts: list[OutputBinding], size: Size) -> tuple[Size, ...] | None:
    """Rows and columns of each level, where all tensors tell; None where they do not.

    Raises:
        InvalidInput: a grid that is not ``size / stride``, rounded down or up.
    """
    cells = tuple(cell for part in parts if (cell := level_cells(part)) is not None)
    anchors = binding.anchors
    if len(cells) != len(parts) or anchors is None or isinstance(anchors, PriorAnchors):
        return None
    for stride, grid in zip(anchors.strides, cells, strict=False):
        if any(
            not side // stride <= n <= -(-side // stride)
            for n, side in zip(grid, size, strict=True)
        ):
            raise InvalidInput(
                "the grid of a level is not that of its stride",
                found=f"{grid[0]}x{grid[1]} cells for stride {stride} at {size[0]}x{size[1]}",
                next_step="check the levels of the binding's outputs (swapped?) and the strides",
            )
    return cells


def role_parts(binding: Binding, role: Role) -> list[OutputBinding]:
    """The outputs of one role, in the order of their levels.

    Raises:
        InvalidInput: none, or levels that are not 0, 1, 2 ...
    """
    parts = [output for output in binding.outputs if output.role == role]
    if len(parts) == 1:
        return parts
    levels = [-1 if part.level is None else part.level for part in parts]
    if sorted(levels) != list(range(len(parts))) or not parts:
        raise InvalidInput(
            f"the binding must carry {role} in one tensor or in levels 0, 1, 2 ...",
            found=f"{len(parts)} outputs, levels {[part.level for part in parts]}",
        )
    return sorted(parts, key=lambda part: part.level or 0)


def role_levels(outputs: Outputs, binding: Binding, role: Role, index: int) -> list[Float]:
    """One role, level by level in the order of the strides: float32 [anchors, values] each.

    Raises:
        InvalidInput: no such role, levels that are not 0, 1, 2 ..., or of unlike widths.
    """
    order = CELL_FIRST if isinstance(binding.anchors, PriorAnchors) else SHAPE_FIRST
    rows = [role_rows(outputs, part, index, order=order) for part in role_parts(binding, role)]
    if len({part.shape[1] for part in rows}) != 1:
        raise InvalidInput(f"the levels of {role} have different numbers of values")
    return rows


def one_level(outputs: Outputs, binding: Binding, role: Role, index: int) -> Float:
    """The rows of a role that has no levels.

    Raises:
        InvalidInput: it has several, or none.
    """
    levels = role_levels(outputs, binding, role, index)
    if len(levels) != 1:
        raise InvalidInput(
            f"final detections have one output of role {role}", found=f"{len(levels)}"
        )
    return levels[0]


def check_anchors(role: Role, rows: int, anchors: int) -> None:
    """As many rows as the boxes have anchors.

    Raises:
        InvalidInput: another number.
    """
    if rows != anchors:
        raise InvalidInput(
            f"{role} have another number of anchors than the rest of the head",
            found=f"{rows} instead of {anchors}",
            next_step="check the axes of the binding's outputs (swapped outputs?)",
        )


def check_levels(role: Role, rows: list[Float], boxes: list[Float]) -> None:
    """Level by level, where both have levels: their sum hides two that are swapped.

    Raises:
        InvalidInput: another number of anchors, of all levels or of one.
    """
    check_anchors(role, sum(map(len, rows)), sum(map(len, boxes)))
    if len(rows) == len(boxes):
        for level, (here, there) in enumerate(zip(rows, boxes, strict=True)):
            if len(here) != len(there):
                raise InvalidInput(
                    f"level {level} of {role} has another number of anchors than that of the boxes",
                    found=f"{len(here)} instead of {len(there)}",
                    next_step="check the levels of the binding's outputs (swapped?)",
                )


def check_width(role: Role, rows: Float, expected: int) -> None:
    """`expected` values an anchor.

    Raises:
        InvalidInput: another number.
    """
    if rows.shape[1] != expected:
        raise InvalidInput(
            f"{role} must have {expected} value(s) an anchor",
            found=f"{rows.shape[1]}",
            next_step="check the axes and the slice of the binding's output",
        )
