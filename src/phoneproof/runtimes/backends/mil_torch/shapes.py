"""Operations that move numbers without computing: shapes, axes, joins, blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from phoneproof.runtimes.backends.mil_torch.call import Call, Operator, axis_of


def reshape(call: Call, /) -> Tensor:
    """To a shape: -1 takes what is left, 0 the side of x that lies as far from the end."""
    x, shape = call.tensor("x"), call.integers("shape")
    sides = list(x.shape)[::-1]
    kept = [
        side if side else (int(sides[i]) if i < len(sides) else 1)
        for i, side in enumerate(reversed(shape))
    ]
    return x.reshape(kept[::-1])


def reshape_like(call: Call, /) -> Tensor:
    """To sides taken from other tensors."""
    shape: list[int] = []
    begins, ends = call.integers("begins"), call.integers("ends")
    whole = call.numbers("end_masks")
    for tensor, begin, end, mask in zip(
        call.tensors("ref_tensors"), begins, ends, whole, strict=True
    ):
        shape.extend(tensor.shape[begin:] if mask else tensor.shape[begin:end])
    return call.tensor("x").reshape(shape)


def expand_dims(call: Call, /) -> Tensor:
    """With axes of length 1 put in; places count in the result."""
    x, axes = call.tensor("x"), call.integers("axes")
    rank = x.dim() + len(axes)
    for axis in sorted(axis_of(call, axis, rank) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def squeeze(call: Call, /) -> Tensor:
    """Without axes of length 1; others that are named stay."""
    x = call.tensor("x")
    rank = x.dim()
    named = call.integers("axes") if call.has("axes") else tuple(range(rank))
    gone = {axis_of(call, axis, rank) for axis in named}
    return x.reshape([side for i, side in enumerate(x.shape) if i not in gone or side != 1])


def transpose(call: Call, /) -> Tensor:
    """With its axes in another order."""
    return call.tensor("x").permute(call.integers("perm"))


def flatten2d(call: Call, /) -> Tensor:
    """As a matrix: the axes before ``axis``, and the rest."""
    x, axis = call.tensor("x"), call.integer("axis", 1)
    axis = axis + x.dim() if axis < 0 else axis
    rows = 1
    for side in x.shape[:axis]:
        rows *= int(side)
    return x.reshape(rows, -1)


def concat(call: Call, /) -> Tensor:
    """Joined along an axis, one behind the other or in turns."""
    values = call.tensors("values")
    if not values:
        raise call.misfit("nothing to join")
    values = [value.reshape(1) if value.dim() == 0 else value for value in values]
    axis = axis_of(call, call.integer("axis"), values[0].dim())
    if call.flag("interleave"):
        return torch.stack(values, dim=axis + 1).flatten(axis, axis + 1)
    return torch.cat(values, dim=axis)


def stack(call: Call, /) -> Tensor:
    """Joined along a new axis."""
    values = call.tensors("values")
    if not values:
        raise call.misfit("nothing to join")
    return torch.stack(values, dim=axis_of(call, call.integer("axis"), values[0].dim() + 1))


def split(call: Call, /) -> Sequence[Tensor]:
    """Parts along an axis."""
    x = call.tensor("x")
    axis = axis_of(call, call.integer("axis"), x.dim())
    if call.has("split_sizes"):
        return torch.split(x, list(call.integers("split_sizes")), dim=axis)
    count = call.integer("num_splits")
    if count < 1 or x.shape[axis] % count:
        raise call.misfit(f"{x.shape[axis]} numbers in {count} equal parts")
    return torch.split(x, int(x.shape[axis]) // count, dim=axis)


def tile(call: Call, /) -> Tensor:
    """Repeated along each axis."""
    return call.tensor("x").repeat(call.integers("reps"))


def reverse(call: Call, /) -> Tensor:
    """With some axes, or all, the other way round."""
    x = call.tensor("x")
    return torch.flip(x, call.integers("axes", tuple(range(x.dim()))))


def pixel_shuffle(call: Call, /) -> Tensor:
    """Channels to places, as torch does."""
    return functional.pixel_shuffle(call.tensor("x"), call.integer("upscale_factor"))


def pixel_unshuffle(call: Call, /) -> Tensor:
    """Places to channels, as torch does."""
    return functional.pixel_unshuffle(call.tensor("x"), call.integer("downscale_factor"))


def depth_to_space(call: Call, /) -> Tensor:
    """Channels to places; the block's rows and columns are the slowest part of the channels."""
    x, block = call.tensor("x"), call.integer("block_size")
    n, c, h, w = _image(call, x)
    x = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n, c // block**2, h * block, w * block)


def space_to_depth(call: Call, /) -> Tensor:
    """Places to channels, the inverse of `depth_to_space`."""
    x, block = call.tensor("x"), call.integer("block_size")
    n, c, h, w = _image(call, x)
    x = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(n, c * block**2, h // block, w // block)


def space_to_batch(call: Call, /) -> Tensor:
    """Places to batch, after padding with zeros."""
    top, bottom, left, right = call.integers("paddings")
    x = functional.pad(call.tensor("x"), (left, right, top, bottom))
    rows, columns = call.integers("block_shape")
    n, c, h, w = _image(call, x)
    x = x.reshape(n, c, h // rows, rows, w // columns, columns).permute(3, 5, 0, 1, 2, 4)
    return x.reshape(n * rows * columns, c, h // rows, w // columns)


def batch_to_space(call: Call, /) -> Tensor:
    """Batch to places, then cropped."""
    x = call.tensor("x")
    rows, columns = call.integers("block_shape")
    n, c, h, w = _image(call, x)
    count = n // (rows * columns)
    x = x.reshape(rows, columns, count, c, h, w).permute(2, 3, 4, 0, 5, 1)
    x = x.reshape(count, c, h * rows, w * columns)
    top, bottom, left, right = call.integers("crops")
    return x[:, :, top : h * rows - bottom, left : w * columns - right]


def _image(call: Call, x: Tensor) -> tuple[int, int, int, int]:
    if x.dim() != 4:
        raise call.misfit(f"an image of {x.dim()} axes")
    n, c, h, w = (int(side) for side in x.shape)
    return n, c, h, w


def sliding_windows(call: Call, /) -> Tensor:
    """All windows of an axis; the places inside a window become the axis behind it."""
    x = call.tensor("x")
    axis = axis_of(call, call.integer("axis"), x.dim())
    windows = x.unfold(axis, call.integer("size"), call.integer("stride", 1))
    return windows.movedim(-1, axis + 1)


SHAPES: Mapping[str, Operator] = {
    "batch_to_space": batch_to_space,
    "concat": concat,
    "depth_to_space": depth_to_space,
    "expand_dims": expand_dims,
    "flatten2d": flatten2d,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "reshape": reshape,
    "reshape_like": reshape_like,
    "reverse": reverse,
    "sliding_windows": sliding_windows,
    "space_to_batch": space_to_batch,
    "space_to_depth": space_to_depth,
    "split": split,
    "squeeze": squeeze,
    "stack": stack,
    "tile": tile,
    "transpose": transpose,
}
