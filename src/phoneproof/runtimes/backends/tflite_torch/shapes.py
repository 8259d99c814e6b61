"""Operators that move numbers without computing: reshapes, transposes, joins, tiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch.nn import functional

from phoneproof.core.errors import InvalidInput
from phoneproof.runtimes.backends.tflite_torch.call import (
    TO_FIRST,
    TO_LAST,
    Call,
    Operator,
    Value,
    first,
    plain,
)
from phoneproof.runtimes.backends.tflite_torch.padding import activated

_INT64 = 4  # schema.TensorType
_LARGEST = 2**28
"""Numbers in a tensor that is made from nothing (FILL, TILE): a gigabyte of floats."""


def reshape(call: Call) -> Value:
    """RESHAPE; the shape is an input, or an option in older files."""
    value = call.value(0)
    wanted = call.numbers(1) if call.has(1) else call.options.whole("newShape")
    sides = _without_placeholder(value.shape, wanted, call)
    if value.channels_first and value.shape[1:3] == (1, 1) and len(sides) == 2:
        return plain(value.tensor.reshape(sides))  # one pixel: every order is the same
    return plain(value.plain.reshape(sides))


def _without_placeholder(
    shape: tuple[int, ...], wanted: tuple[int, ...], call: Call
) -> tuple[int, ...]:
    count = math.prod(shape)
    known = math.prod(side for side in wanted if side != -1)
    if wanted.count(-1) == 1 and known and count % known == 0:
        wanted = tuple(count // known if side == -1 else side for side in wanted)
    if any(side < 0 for side in wanted) or math.prod(wanted) != count:
        raise InvalidInput(
            f"{call.where} cannot give {list(shape)} another shape", found=f"asked for {wanted}"
        )
    return wanted


def squeeze(call: Call) -> Value:
    """SQUEEZE of the named axes, or of all of one number."""
    value = call.value(0)
    rank, shape = value.tensor.dim(), value.shape
    named = call.options.whole("squeezeDims")
    axes = {axis % rank for axis in named} if named else {i for i, n in enumerate(shape) if n == 1}
    if any(shape[axis] != 1 for axis in axes):
        raise InvalidInput(f"{call.where} drops axes of more than one number", found=str(shape))
    sides = [side for axis, side in enumerate(shape) if axis not in axes]
    tensor = value.tensor if {1, 2} <= axes else value.plain
    return plain(tensor.reshape(sides))


def expand_dims(call: Call) -> Value:
    """EXPAND_DIMS."""
    (axis,) = call.numbers(1)
    return plain(call.value(0).plain.unsqueeze(axis))


def shape_of(call: Call) -> Value:
    """SHAPE, a constant with static shapes."""
    kind = torch.int64 if call.options.number("outType") == _INT64 else torch.int32
    return plain(torch.tensor(call.raw(0).shape, dtype=kind))


def rank_of(call: Call) -> Value:
    """RANK."""
    return plain(torch.tensor(call.raw(0).tensor.dim(), dtype=torch.int32))


def transpose(call: Call) -> Value:
    """TRANSPOSE; the two between image layouts only change how the value is counted."""
    value, order = call.value(0), call.numbers(1)
    if sorted(order) != list(range(value.tensor.dim())):
        raise InvalidInput(f"{call.where} has the order {order}", found=str(value.shape))
    if order == TO_FIRST and value.channels_first:
        return plain(value.tensor)
    if order == TO_LAST and not value.channels_first:
        return first(value.tensor)
    if order == tuple(range(len(order))):
        return value
    return plain(value.plain.permute(order))


def concatenation(call: Call) -> Value:
    """CONCATENATION, in the layout that most of its inputs have."""
    values = [call.value(slot) for slot in range(len(call.inputs))]
    axis = call.options.number("axis")
    if any(v.channels_first for v in values) and all(v.tensor.dim() == 4 for v in values):
        joined = torch.cat([v.nchw for v in values], dim=first(values[0].nchw).stored_axis(axis))
        return first(activated(call, joined))
    joined = torch.cat([v.plain for v in values], dim=plain(values[0].plain).stored_axis(axis))
    return plain(activated(call, joined))


def split(call: Call) -> Sequence[Value]:
    """SPLIT into equal parts; the axis comes first."""
    (axis,), value = call.numbers(0), call.value(1)
    parts = call.options.positive("numSplits")
    at = value.stored_axis(axis)
    side = int(value.tensor.shape[at])
    if side % parts:
        raise InvalidInput(f"{call.where} splits {side} into {parts} parts")
    return [value.like(part) for part in torch.split(value.tensor, side // parts, dim=at)]


def split_v(call: Call) -> Sequence[Value]:
    """SPLIT_V into parts of given sizes, one of which may be -1."""
    value, sizes, (axis,) = call.value(0), list(call.numbers(1)), call.numbers(2)
    at = value.stored_axis(axis)
    side = int(value.tensor.shape[at])
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = side - sum(size for size in sizes if size != -1)
    if sum(sizes) != side or min(sizes) < 0:
        raise InvalidInput(f"{call.where} splits {side} into {sizes}")
    return [value.like(part) for part in torch.split(value.tensor, sizes, dim=at)]


def pack(call: Call) -> Value:
    """PACK: values side by side on a new axis."""
    values = [call.value(slot).plain for slot in range(len(call.inputs))]
    return plain(torch.stack(values, dim=call.options.number("axis")))


def unpack(call: Call) -> Sequence[Value]:
    """UNPACK: one value for each place on an axis."""
    return [plain(part) for part in torch.unbind(call.value(0).plain, call.options.number("axis"))]


def tile(call: Call) -> Value:
    """TILE."""
    tensor, times = call.value(0).plain, call.numbers(1)
    _require_small(call, [int(s) * t for s, t in zip(tensor.shape, times, strict=True)])
    return plain(tensor.repeat(times))


def broadcast_to(call: Call) -> Value:
    """BROADCAST_TO."""
    sides = call.numbers(1)
    _require_small(call, sides)
    return plain(call.value(0).plain.expand(sides))


def fill(call: Call) -> Value:
    """FILL with a constant, which makes a constant."""
    sides = call.numbers(0)
    _require_small(call, sides)
    return plain(call.raw(1).tensor.reshape(()).expand(sides).contiguous())


def zeros_like(call: Call) -> Value:
    """ZEROS_LIKE."""
    value = call.value(0)
    return value.like(torch.zeros_like(value.tensor))


def range_of(call: Call) -> Value:
    """RANGE of constants."""
    numbers = [number for slot in range(3) for number in call.raw(slot).numbers]
    if len(numbers) != 3:
        raise call.unsupported("a computed range")
    start, limit, delta = numbers
    if not delta or abs((limit - start) / delta) > _LARGEST:
        raise InvalidInput(f"{call.where} counts from {start} to {limit} by {delta}")
    return plain(torch.arange(start, limit, delta, dtype=call.raw(0).tensor.dtype))


def _require_small(call: Call, sides: Sequence[int]) -> None:
    if any(side < 0 for side in sides) or math.prod(sides) > _LARGEST:
        raise InvalidInput(f"{call.where} makes a tensor of shape {list(sides)}")


def depth_to_space(call: Call) -> Value:
    """DEPTH_TO_SPACE: channels count (block row, block column, channel).

    torch's pixel_shuffle counts them (channel, block row, block column), so the channels are
    reordered first.
    """
    image, block = call.value(0).nchw, call.options.positive("blockSize")
    count, channels, height, width = (int(side) for side in image.shape)
    left = _divided(call, channels, block * block)
    if left > 1:
        blocks = image.reshape(count, block * block, left, height, width)
        image = blocks.transpose(1, 2).reshape(count, channels, height, width)
    return first(functional.pixel_shuffle(image, block))


def space_to_depth(call: Call) -> Value:
    """SPACE_TO_DEPTH, the inverse."""
    image, block = call.value(0).nchw, call.options.positive("blockSize")
    count, channels, height, width = (int(side) for side in image.shape)
    tall, wide = _divided(call, height, block), _divided(call, width, block)
    image = functional.pixel_unshuffle(image, block)
    if channels > 1:
        blocks = image.reshape(count, channels, block * block, tall, wide)
        image = blocks.transpose(1, 2).reshape(count, -1, tall, wide)
    return first(image)


def _divided(call: Call, side: int, by: int) -> int:
    if side % by:
        raise InvalidInput(f"{call.where} divides {side} into blocks of {by}")
    return side // by


def space_to_batch_nd(call: Call) -> Value:
    """SPACE_TO_BATCH_ND of images: the border is added, each block place becomes a batch item."""
    image, (tall, wide) = call.value(0).nchw, _blocks(call)
    top, bottom, left, right = _borders(call)
    image = functional.pad(image, (left, right, top, bottom))
    count, channels, height, width = (int(side) for side in image.shape)
    rows, columns = _divided(call, height, tall), _divided(call, width, wide)
    blocks = image.reshape(count, channels, rows, tall, columns, wide)
    moved = blocks.permute(3, 5, 0, 1, 2, 4)
    return first(moved.reshape(tall * wide * count, channels, rows, columns))


def batch_to_space_nd(call: Call) -> Value:
    """BATCH_TO_SPACE_ND of images, the inverse; the border is cut off."""
    image, (tall, wide) = call.value(0).nchw, _blocks(call)
    top, bottom, left, right = _borders(call)
    batch, channels, rows, columns = (int(side) for side in image.shape)
    count = _divided(call, batch, tall * wide)
    blocks = image.reshape(tall, wide, count, channels, rows, columns)
    moved = blocks.permute(2, 3, 4, 0, 5, 1)
    whole = moved.reshape(count, channels, rows * tall, columns * wide)
    height, width = rows * tall - top - bottom, columns * wide - left - right
    if min(height, width, top, left) < 0:
        raise InvalidInput(f"{call.where} cuts off more than there is")
    return first(whole[:, :, top : top + height, left : left + width])


def _blocks(call: Call) -> tuple[int, int]:
    blocks = call.numbers(1)
    if len(blocks) != 2 or min(blocks) < 1:
        raise call.unsupported(f"a block of {list(blocks)}")
    return blocks[0], blocks[1]


def _borders(call: Call) -> tuple[int, int, int, int]:
    borders = call.numbers(2)
    if len(borders) != 4 or min(borders) < 0:
        raise InvalidInput(f"{call.where} has borders {list(borders)}")
    return borders[0], borders[1], borders[2], borders[3]


SHAPES: Mapping[str, Operator] = {
    "RESHAPE": reshape,
    "SQUEEZE": squeeze,
    "EXPAND_DIMS": expand_dims,
    "SHAPE": shape_of,
    "RANK": rank_of,
    "TRANSPOSE": transpose,
    "CONCATENATION": concatenation,
    "SPLIT": split,
    "SPLIT_V": split_v,
    "PACK": pack,
    "UNPACK": unpack,
    "TILE": tile,
    "BROADCAST_TO": broadcast_to,
    "FILL": fill,
    "ZEROS_LIKE": zeros_like,
    "RANGE": range_of,
    "DEPTH_TO_SPACE": depth_to_space,
    "SPACE_TO_DEPTH": space_to_depth,
    "SPACE_TO_BATCH_ND": space_to_batch_nd,
    "BATCH_TO_SPACE_ND": batch_to_space_nd,
}
