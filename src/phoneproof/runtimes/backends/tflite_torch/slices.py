"""Operators that take parts of a tensor or put a border around it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional

from phoneproof.core.errors import InvalidInput
from phoneproof.runtimes.backends.tflite_torch.call import Call, Operator, Value, part_of, plain

_REFLECT, _SYMMETRIC = 0, 1  # schema.MirrorPadMode
_WIDEST = 16384


def slice_of(call: Call) -> Value:
    """SLICE: first index and size of each axis; a size of -1 reaches to the end."""
    value, begins, sizes = call.value(0), call.numbers(1), call.numbers(2)
    shape, tensor = value.shape, value.tensor
    if not len(begins) == len(sizes) == len(shape):
        raise InvalidInput(f"{call.where} names {len(begins)} axes of {len(shape)}")
    for axis, (begin, size, side) in enumerate(zip(begins, sizes, shape, strict=True)):
        length = side - begin if size == -1 else size
        if begin < 0 or length < 0 or begin + length > side:
            raise InvalidInput(f"{call.where} takes {size} from {begin} on of {side}")
        if length != side:
            tensor = part_of(tensor, value.stored_axis(axis), begin, length)
    return value.like(tensor)


def strided_slice(call: Call) -> Value:
    """STRIDED_SLICE with its begin, end, ellipsis, new-axis and shrink masks."""
    value = call.value(0)
    options = call.options
    begins, ends, steps = (list(call.numbers(slot)) for slot in (1, 2, 3))
    if options.flag("offset"):
        ends = [begin + end for begin, end in zip(begins, ends, strict=True)]
    if not len(begins) == len(ends) == len(steps):
        raise InvalidInput(f"{call.where} has lists of different lengths")
    ellipsis, new = options.number("ellipsisMask"), options.number("newAxisMask")
    if ellipsis or new:
        return _with_new_axes(call, value, (begins, ends, steps))
    shape, tensor = value.shape, value.tensor
    if len(begins) > len(shape):
        raise InvalidInput(f"{call.where} names {len(begins)} axes of {len(shape)}")
    shrink = options.number("shrinkAxisMask")
    dropped: list[int] = []
    for axis, triple in enumerate(zip(begins, ends, steps, strict=True)):
        one = bool(shrink >> axis & 1)
        if one:
            dropped.append(axis)
        tensor = _cut(call, tensor, value.stored_axis(axis), axis, triple, one)
    cut = value.like(tensor)
    if not dropped:
        return cut
    rest = cut.plain
    for axis in reversed(dropped):
        rest = rest.squeeze(axis)
    return plain(rest)


def _cut(
    call: Call, tensor: torch.Tensor, at: int, axis: int, triple: tuple[int, int, int], one: bool
) -> torch.Tensor:
    """One axis, by Python's rules for begin:end:step, which the masks leave open."""
    begin, end, step = triple
    side = int(tensor.shape[at])
    if step == 0:
        raise InvalidInput(f"{call.where} has a step of 0")
    if one:
        place = begin + side if begin < 0 else begin
        if not 0 <= place < side:
            raise InvalidInput(f"{call.where} takes place {begin} of {side}")
        return part_of(tensor, at, place, 1)
    low = None if call.options.number("beginMask") >> axis & 1 else begin
    high = None if call.options.number("endMask") >> axis & 1 else end
    places = range(side)[low:high:step]
    if len(places) == side and step == 1:
        return tensor
    if step == 1:
        return part_of(tensor, at, places.start, len(places))
    index: list[slice] = [slice(None)] * tensor.dim()
    if step > 0:
        index[at] = slice(places.start, max(places.stop, places.start), step)
        return tensor[tuple(index)]
    tensor = tensor.flip(at)
    index[at] = slice(side - 1 - places.start, side - 1 - places.stop, -step)
    return tensor[tuple(index)]


def _with_new_axes(
    call: Call, value: Value, lists: tuple[list[int], list[int], list[int]]
) -> Value:
    """The general form, as an index with None and Ellipsis; forward steps only."""
    options = call.options
    index: list[slice | int | None] = []
    tensor = value.plain
    new = options.number("newAxisMask")
    named = sum(1 for place in range(len(lists[0])) if not new >> place & 1)
    for place, (begin, end, step) in enumerate(zip(*lists, strict=True)):
        if options.number("ellipsisMask") >> place & 1:
            index.extend([slice(None)] * (tensor.dim() - named + 1))
        elif new >> place & 1:
            index.append(None)
        elif options.number("shrinkAxisMask") >> place & 1:
            index.append(begin)
        elif step < 1:
            raise call.unsupported("a backward step beside new axes")
        else:
            low = None if options.number("beginMask") >> place & 1 else begin
            high = None if options.number("endMask") >> place & 1 else end
            index.append(slice(low, high, step))
    return plain(tensor[tuple(index)])


def gather(call: Call) -> Value:
    """GATHER along one axis."""
    if call.options.number("batchDims"):
        raise call.unsupported("batch dimensions")
    value, axis, places = call.value(0), call.options.number("axis"), call.raw(1)
    side = value.shape[axis]
    if places.constant is not None:
        wanted = call.numbers(1)
        if any(not 0 <= place < side for place in wanted):
            raise InvalidInput(f"{call.where} takes places that {side} numbers do not have")
        if places.tensor.dim() == 0:
            return plain(value.plain.select(axis, wanted[0]))
    index = call.weight(1, "places", _as_long)
    if places.tensor.dim() == 1:
        return value.like(torch.index_select(value.tensor, value.stored_axis(axis), index))
    tensor = value.plain
    axis %= tensor.dim()
    picked = torch.index_select(tensor, axis, index.reshape(-1))
    sides = (*tensor.shape[:axis], *places.tensor.shape, *tensor.shape[axis + 1 :])
    return plain(picked.reshape(sides))


def _as_long(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(torch.int64)


def reverse(call: Call) -> Value:
    """REVERSE_V2."""
    value = call.value(0)
    return value.like(value.tensor.flip([value.stored_axis(axis) for axis in call.numbers(1)]))


def _borders(call: Call, value: Value) -> list[int]:
    """The border of each axis in torch's order: last stored axis first, (before, after)."""
    flat = call.numbers(1)
    rank = value.tensor.dim()
    if len(flat) != 2 * rank or min(flat, default=0) < 0 or max(flat, default=0) > _WIDEST:
        raise InvalidInput(f"{call.where} has borders {list(flat)}", found=str(value.shape))
    stored = [(0, 0)] * rank
    for axis in range(rank):
        stored[value.stored_axis(axis)] = flat[2 * axis], flat[2 * axis + 1]
    return _trimmed([number for pair in reversed(stored) for number in pair])


def _trimmed(borders: list[int]) -> list[int]:
    """Without the leading axes that have no border: torch pads the last axes."""
    while len(borders) > 2 and borders[-2:] == [0, 0]:
        borders = borders[:-2]
    return borders


def pad(call: Call) -> Value:
    """PAD with zeros, PADV2 with a constant."""
    value = call.value(0)
    borders = _borders(call, value)
    fill = 0.0
    if call.name == "PADV2":
        border = call.raw(2).numbers
        if len(border) != 1:
            raise call.unsupported("a computed border value")
        fill = border[0]
    return value.like(functional.pad(value.tensor, borders, value=fill))


def mirror_pad(call: Call) -> Value:
    """MIRROR_PAD: the edge pixel is repeated (symmetric) or not (reflect)."""
    value = call.value(0)
    borders = _borders(call, value)
    if call.options.number("mode") == _REFLECT and len(borders) <= 2 * (value.tensor.dim() - 2):
        return value.like(functional.pad(value.tensor, borders, mode="reflect"))
    tensor = value.tensor
    skip = 1 if call.options.number("mode") == _REFLECT else 0
    for back, (before, after) in enumerate(zip(borders[::2], borders[1::2], strict=True)):
        at = tensor.dim() - 1 - back
        side = int(tensor.shape[at])
        if max(before, after) + skip > side:
            raise InvalidInput(f"{call.where} mirrors more than there is")
        head = part_of(tensor, at, skip, before).flip(at)
        tail = part_of(tensor, at, side - skip - after, after).flip(at)
        if before or after:
            tensor = torch.cat([head, tensor, tail], dim=at)
    return value.like(tensor)


SLICES: Mapping[str, Operator] = {
    "SLICE": slice_of,
    "STRIDED_SLICE": strided_slice,
    "GATHER": gather,
    "REVERSE_V2": reverse,
    "PAD": pad,
    "PADV2": pad,
    "MIRROR_PAD": mirror_pad,
}
