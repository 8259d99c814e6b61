"""What the last layers of a detector may mean, in the words of the binding.

Only shapes are looked at: every proposal here is proved by numbers before it is believed
(`phoneproof.optimize.backends.head_proof`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from phoneproof.core.binding import (
    Activation,
    Anchors,
    Axis,
    Binding,
    Box,
    GridAnchors,
    OutputBinding,
    YoloAnchors,
)
from phoneproof.core.contract import Size
from phoneproof.decode.heads import input_size
from phoneproof.decode.results import Float

HeadRole = Literal["dfl", "boxes", "objectness", "scores"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LastLayer:
    """The output of a last layer with learned weights: its name and [N, C, rows, columns]."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadProposal:
    """outputs: roles carried by the tensors of the layers, by level, whole or in slices."""

    family: str
    outputs: tuple[OutputBinding, ...]
    anchors: Anchors


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """How boxes are written. offset: of the grid; None where the cells have anchor shapes."""

    family: str
    role: Literal["dfl", "boxes"]
    box: Box
    offset: float | None
    activation: Activation = "none"


_LTRB: Final = Box(format="ltrb", units="stride")
_CENTRED: Final = Box(format="cxcywh", units="stride")
_FORMS: Final = (
    _Form(family="distributions of distances", role="dfl", box=_LTRB, offset=0.5),
    _Form(family="distributions of distances", role="dfl", box=_LTRB, offset=0.0),
    _Form(family="distances", role="boxes", box=_LTRB, offset=0.5),
    _Form(family="distances", role="boxes", box=_LTRB, offset=0.0),
    _Form(family="centres and sides", role="boxes", box=_CENTRED, offset=0.0),
    _Form(family="centres and sides", role="boxes", box=_CENTRED, offset=0.5),
    _Form(
        family="anchor shapes",
        role="boxes",
        box=Box(format="cxcywh"),
        offset=None,
        activation="sigmoid",
    ),
)
_ACTIVATIONS: Final[tuple[Activation, ...]] = ("sigmoid", "none", "softmax")
_MOST_ASSIGNMENTS: Final = 64
"""Of equally wide layers to roles, level by level."""
_STRIDES: Final = (4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Level:
    stride: int
    grid: Size
    layers: tuple[LastLayer, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Span:
    """Values [first, end) of one anchor, of the layer at a place among those of its level."""

    role: HeadRole
    place: int
    first: int
    end: int
    width: int


def head_proposals(
    layers: Sequence[LastLayer], binding: Binding, resting: Float
) -> Iterator[HeadProposal]:
    """Every meaning that the shapes allow, the most usual first.

    Args:
        layers: everything that the outputs are computed from.
        binding: of the outputs as they are; tells the input's size and the number of classes.
        resting: float32 [A, 4] xyxy boxes in pixels, with all layers 0: they show the anchors'
            shapes where there are some.
    """
    levels = _levels(layers, input_size(binding))
    classes = scores_width(binding)
    has_objectness = any(output.role == "objectness" for output in binding.outputs)
    for ordered in (levels, levels[::-1]) if len(levels) > 1 else (levels,):
        for objectness, form in itertools.product((has_objectness, not has_objectness), _FORMS):
            packed = 1 if form.offset is not None else _shapes_a_cell(ordered, len(resting))
            anchors = _anchors(form, ordered, packed, resting)
            if anchors is None:
                continue
            for spans, activation in itertools.product(
                _assignments(form.role, ordered, objectness, classes, packed), _ACTIVATIONS
            ):
                yield HeadProposal(
                    family=form.family,
                    outputs=_bound(ordered, spans, form, activation, packed),
                    anchors=anchors,
                )


def scores_width(binding: Binding) -> int:
    """Classes of a row of scores, as the file counts them."""
    scores = next(output for output in binding.outputs if output.role == "scores")
    if scores.slice is not None:
        return scores.slice[1] - scores.slice[0]
    values = [axis for axis in scores.axes if axis in ("class", "coord", "channel")]
    return scores.shape[1 + scores.axes.index(values[0])] // scores.packed if values else 1


def _levels(layers: Sequence[LastLayer], size: Size) -> tuple[_Level, ...]:
    """By rising stride; none where two grids have one stride or a grid has none."""
    grids: dict[Size, list[LastLayer]] = {}
    for layer in layers:
        if len(layer.shape) == 4:
            grids.setdefault((layer.shape[2], layer.shape[3]), []).append(layer)
    levels = [
        _Level(stride=stride, grid=grid, layers=tuple(of_grid))
        for grid, of_grid in grids.items()
        if (stride := _stride(grid, size)) is not None
    ]
    if len({level.stride for level in levels}) != len(grids):
        return ()
    return tuple(sorted(levels, key=lambda level: level.stride))


def _stride(grid: Size, size: Size) -> int | None:
    exact = size[0] // grid[0]
    for stride in (*_STRIDES, exact):
        pairs = list(zip(grid, size, strict=True))
        if stride > 0 and all(side // stride <= n <= -(-side // stride) for n, side in pairs):
            return stride
    return None


def _shapes_a_cell(levels: tuple[_Level, ...], boxes: int) -> int:
    cells = sum(level.grid[0] * level.grid[1] for level in levels)
    return boxes // cells if cells and boxes % cells == 0 else 0


def _anchors(
    form: _Form, levels: tuple[_Level, ...], packed: int, resting: Float
) -> Anchors | None:
    strides = tuple(level.stride for level in levels)
    if not levels or packed < 1:
        return None
    if form.offset is not None:
        return GridAnchors(strides=strides, offset=form.offset)
    sides = resting[:, 2:].astype(np.float64) - resting[:, :2]
    shapes, first = [], 0
    for level in levels:
        end = first + packed * level.grid[0] * level.grid[1]
        # sigmoid(0) = 1/2, and (2 * 1/2)^2 * wh = wh. The median and six digits undo the rounding
        # of corners far from the origin.
        middle = np.median(sides[first:end].reshape(packed, -1, 2), axis=1)
        shapes.append(tuple((float(f"{w:.6g}"), float(f"{h:.6g}")) for w, h in middle))
        first = end
    return YoloAnchors(strides=strides, wh=tuple(shapes))


def _assignments(
    role: Literal["dfl", "boxes"],
    levels: tuple[_Level, ...],
    objectness: bool,
    classes: int,
    packed: int,
) -> Iterator[tuple[tuple[_Span, ...], ...]]:
    """For each level, which values of which layer are which role; all levels cut alike."""
    for width in _box_widths(role, levels[0], classes, packed):
        roles: list[tuple[HeadRole | None, int]] = [(role, width)]
        roles += [("objectness", 1)] if objectness else []
        for with_extra in _with_unused([*roles, ("scores", classes)], levels[0], packed):
            for groups in _partitions(with_extra):
                per_level = [list(_placed(level, groups, packed)) for level in levels]
                yield from itertools.islice(itertools.product(*per_level), _MOST_ASSIGNMENTS)


def _box_widths(role: str, level: _Level, classes: int, packed: int) -> list[int]:
    if role == "boxes":
        return [4]
    counts = [layer.shape[1] // packed for layer in level.layers]
    widths = {count - less for count in counts for less in (0, 1, classes, classes + 1)}
    return sorted((w for w in widths if w >= 8 and w % 4 == 0), reverse=True)


def _with_unused(
    roles: list[tuple[HeadRole | None, int]], level: _Level, packed: int
) -> Iterator[list[tuple[HeadRole | None, int]]]:
    """The roles, and with values of no role before the scores or after (landmarks)."""
    yield roles
    total = sum(width for _, width in roles)
    for layer in level.layers:
        spare = layer.shape[1] // packed - total
        if spare > 0 and layer.shape[1] % packed == 0:
            yield [*roles[:-1], (None, spare), roles[-1]]
            yield [*roles, (None, spare)]


def _partitions(
    roles: list[tuple[HeadRole | None, int]],
) -> Iterator[list[list[tuple[HeadRole | None, int]]]]:
    """Every way to cut the row into neighbours that share a layer, all apart first."""
    gaps = len(roles) - 1
    if any(role is None for role, _ in roles):
        yield [roles]
        return
    for cuts in itertools.product((True, False), repeat=gaps):
        groups = [[roles[0]]]
        for cut, entry in zip(cuts, roles[1:], strict=True):
            if cut:
                groups.append([entry])
            else:
                groups[-1].append(entry)
        yield groups


def _placed(
    level: _Level, groups: list[list[tuple[HeadRole | None, int]]], packed: int
) -> Iterator[tuple[_Span, ...]]:
    """The groups on layers of a level that are exactly as wide."""
    for places in itertools.permutations(range(len(level.layers)), len(groups)):
        widths = [packed * sum(width for _, width in group) for group in groups]
        if all(level.layers[p].shape[1] == w for p, w in zip(places, widths, strict=True)):
            yield tuple(
                span
                for place, group in zip(places, groups, strict=True)
                for span in _spans(group, place)
            )


def _spans(group: list[tuple[HeadRole | None, int]], place: int) -> Iterator[_Span]:
    total, first = sum(width for _, width in group), 0
    for role, width in group:
        if role is not None:
            yield _Span(role=role, place=place, first=first, end=first + width, width=total)
        first += width


def _bound(
    levels: tuple[_Level, ...],
    spans: tuple[tuple[_Span, ...], ...],
    form: _Form,
    activation: Activation,
    packed: int,
) -> tuple[OutputBinding, ...]:
    return tuple(
        _output(levels[number].layers[span.place], number, span, form, activation, packed)
        for number, of_level in enumerate(spans)
        for span in of_level
    )


def _output(
    layer: LastLayer,
    level: int,
    span: _Span,
    form: _Form,
    activation: Activation,
    packed: int,
) -> OutputBinding:
    is_box = span.role == form.role
    whole = (span.first, span.end) == (0, span.width)
    return OutputBinding(
        tensor=layer.name,
        role=span.role,
        shape=layer.shape,
        axes=(value_axis(span.role) if whole else "channel", "y", "x"),
        level=level,
        slice=None if whole else (span.first, span.end),
        packed=packed,
        activation=form.activation if is_box else activation,
        box=form.box if is_box else None,
    )


def value_axis(role: str) -> Axis:
    """The name of the axis along which a role's values lie."""
    return {"boxes": "coord", "scores": "class"}.get(role, "channel")  # type: ignore[return-value]
