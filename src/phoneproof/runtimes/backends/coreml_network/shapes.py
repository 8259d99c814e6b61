"""Layers that move numbers and compute nothing, written for ranks of their own choice."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from phoneproof.runtimes.backends.coreml_network.layer import (
    Blobs,
    Function,
    Layer,
    Message,
    on_images,
    one,
)
from phoneproof.runtimes.backends.coreml_network.weights import weights

_CHANNEL_LAST = 1


def ints(values: Message) -> tuple[int, ...]:
    """A repeated field of integers."""
    return tuple(int(value) for value in values)


def flatten(layer: Layer) -> Function:
    """Channels, rows and columns as channels alone."""
    last = layer.params.mode == _CHANNEL_LAST

    def flat(x: torch.Tensor) -> torch.Tensor:
        moved = x.movedim(-3, -1) if last else x
        return moved.reshape(*x.shape[:-3], -1, 1, 1)

    return one(flat)


def reshape(layer: Layer) -> Function:
    """[C, H, W] or [Seq, C, H, W] of a blob [Seq, batch, C, H, W]."""
    target = ints(layer.params.targetShape)
    if len(target) not in (3, 4) or min(target) < 1:
        raise layer.damaged(f"target shape {list(target)}")
    last = layer.params.mode == _CHANNEL_LAST
    channels, height, width = target[-3:]

    def shaped(x: torch.Tensor) -> torch.Tensor:
        leading = (target[0], *x.shape[1:-3]) if len(target) == 4 else tuple(x.shape[:-3])
        if not last:
            return x.reshape(*leading, channels, height, width)
        return x.movedim(-3, -1).reshape(*leading, height, width, channels).movedim(-1, -3)

    return one(shaped)


def permute(layer: Layer) -> Function:
    """Sequence, channel, height and width in another order; the batch stays."""
    order = ints(layer.params.axis) or (0, 1, 2, 3)
    if sorted(order) != [0, 1, 2, 3]:
        raise layer.damaged(f"axes {list(order)}")
    places = (0, 2, 3, 4)
    axes = (places[order[0]], 1, *(places[axis] for axis in order[1:]))

    def permuted(x: torch.Tensor) -> torch.Tensor:
        if x.dim() == 5:
            return x.permute(axes)
        if x.dim() != 4 or order[0] != 0:
            raise layer.damaged(f"axes {list(order)} of a blob of rank {x.dim()}")
        return x.permute(0, *(axis - 1 for axis in axes[2:]))

    return one(permuted)


def transpose(layer: Layer) -> Function:
    """All axes in another order."""
    axes = ints(layer.params.axes)
    return one(lambda x: x.permute(axes))


def concat(layer: Layer) -> Function:
    """Along the channels, or the sequence."""
    axis = -5 if layer.params.sequenceConcat else -3
    return lambda blobs: (torch.cat(tuple(blobs), axis),)


def concat_nd(layer: Layer) -> Function:
    """Along any axis."""
    if layer.params.interleave:
        raise layer.unsupported("interleaved")
    return lambda blobs: (torch.cat(tuple(blobs), int(layer.params.axis)),)


def stack(layer: Layer) -> Function:
    """Along a new axis."""
    return lambda blobs: (torch.stack(tuple(blobs), int(layer.params.axis)),)


def split(layer: Layer) -> Function:
    """The channels in equal parts."""
    parts = len(layer.outputs)

    def pieces(blobs: Blobs) -> Blobs:
        if blobs[0].shape[-3] % parts:
            raise layer.damaged(f"{blobs[0].shape[-3]} channels in {parts} parts")
        return blobs[0].chunk(parts, -3)

    return pieces


def split_nd(layer: Layer) -> Function:
    """Along any axis, in equal parts or those of the file."""
    params = layer.params
    sizes, axis = ints(params.splitSizes), int(params.axis)

    def pieces(blobs: Blobs) -> Blobs:
        if sizes:
            return torch.split_with_sizes(blobs[0], sizes, axis)
        if not params.numSplits or blobs[0].shape[axis] % params.numSplits:
            raise layer.damaged(f"{blobs[0].shape[axis]} values in {params.numSplits} parts")
        return blobs[0].chunk(int(params.numSplits), axis)

    return pieces


def cut(layer: Layer) -> Function:
    """The older slice: along channels, rows or columns."""
    params = layer.params
    axis = (-3, -2, -1)[params.axis] if params.axis < 3 else 0
    step = int(params.stride) or 1

    def sliced(x: torch.Tensor) -> torch.Tensor:
        side = x.shape[axis]
        start, end = int(params.startIndex), int(params.endIndex)
        # -1 as the end is the last one and leaves it out, as in Python.
        picked = torch.arange(side)[start:end:step]
        if not len(picked):
            raise layer.damaged(f"nothing of {side} from {start} to {end}")
        return x.index_select(axis, picked)

    return one(sliced)


def slice_static(layer: Layer) -> Function:
    """The newer slice: every axis with a beginning, an end and a step."""
    params = layer.params
    begins, ends, steps = ints(params.beginIds), ints(params.endIds), ints(params.strides)
    squeezed = tuple(params.squeezeMasks) or (False,) * len(begins)
    if not len(begins) == len(ends) == len(steps) == len(squeezed):
        raise layer.damaged("beginnings, ends and steps of different numbers")
    open_begin = tuple(params.beginMasks) or (False,) * len(begins)
    open_end = tuple(params.endMasks) or (False,) * len(begins)

    def sliced(x: torch.Tensor) -> torch.Tensor:
        for axis, step in enumerate(steps):
            begin = None if open_begin[axis] else begins[axis]
            end = None if open_end[axis] else ends[axis]
            if squeezed[axis]:
                end = None if begins[axis] == -1 else begins[axis] + 1
                begin = begins[axis]
            picked = list(range(x.shape[axis])[begin:end:step])
            x = x.index_select(axis, torch.tensor(picked, dtype=torch.int64))
        gone = [axis for axis, is_gone in enumerate(squeezed) if is_gone]
        return x.squeeze(gone) if gone else x

    return one(sliced)


def crop(layer: Layer) -> Function:
    """Borders cut off, or a window as large as a second blob."""
    params = layer.params
    top, bottom, left, right = layer.borders(params.cropAmounts)
    if len(layer.inputs) == 1:
        return one(lambda x: x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right])
    offset = ints(params.offset) or (0, 0)
    if len(offset) != 2:
        raise layer.damaged(f"offset {list(offset)}")

    def window(blobs: Blobs) -> Blobs:
        image, like = blobs
        height, width = like.shape[-2:]
        part = image[..., offset[0] : offset[0] + height, offset[1] : offset[1] + width]
        if part.shape[-2:] != like.shape[-2:]:
            raise layer.damaged(f"a window of {height}x{width} at {list(offset)} leaves the image")
        return (part,)

    return window


def padding(layer: Layer) -> Function:
    """Borders of a number, of the image mirrored, or of its edges."""
    params = layer.params
    top, bottom, left, right = layer.borders(params.paddingAmounts)
    kind = params.WhichOneof("PaddingType")
    modes = {"constant": "constant", "reflection": "reflect", "replication": "replicate"}
    if kind not in modes:
        raise layer.unsupported(f"kind {kind}")
    value = params.constant.value if kind == "constant" else None

    def padded(image: torch.Tensor) -> torch.Tensor:
        height, width = image.shape[-2:]
        layer.require_size((*image.shape[:2], height + top + bottom, width + left + right))
        return functional.pad(image, (left, right, top, bottom), modes[kind], value)

    return on_images(padded)


def constant_pad(layer: Layer) -> Function:
    """A number around every axis."""
    params = layer.params
    amounts = ints(params.padAmounts)
    if params.padToGivenOutputSizeMode or len(layer.inputs) != 1 or len(amounts) % 2:
        raise layer.unsupported("padding to a size, or by what is computed")

    def padded(x: torch.Tensor) -> torch.Tensor:
        pairs = list(zip(amounts[::2], amounts[1::2], strict=True))
        layer.require_size(
            side + sum(pair) for side, pair in zip(x.shape[-len(pairs) :], pairs, strict=True)
        )
        around = [amount for pair in reversed(pairs) for amount in pair]
        return functional.pad(x, around, value=params.value)

    return one(padded)


def sequence_repeat(layer: Layer) -> Function:
    """The sequence, several times over."""
    count = int(layer.params.nRepetitions) or 1

    def repeated(x: torch.Tensor) -> torch.Tensor:
        layer.require_size((*x.shape, count))
        return x.repeat(count, *[1] * (x.dim() - 1))

    return one(repeated)


def reorganize(layer: Layer) -> Function:
    """Blocks of pixels as channels, and back."""
    block, mode = int(layer.params.blockSize), layer.params.mode
    if not 2 <= block <= 1 << 12:
        raise layer.damaged(f"blocks of {block}")
    if mode == 2:
        return on_images(lambda x: functional.pixel_shuffle(x, block))

    def to_depth(x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        apart = x.reshape(n, c, h // block, block, w // block, block)
        return apart.permute(0, 3, 5, 1, 2, 4).reshape(n, -1, h // block, w // block)

    def to_space(x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        apart = x.reshape(n, block, block, c // block**2, h, w)
        return apart.permute(0, 3, 4, 1, 5, 2).reshape(n, -1, h * block, w * block)

    if mode not in (0, 1):
        raise layer.unsupported(f"mode {mode}")
    return on_images(to_depth if mode == 0 else to_space)


def load_constant(layer: Layer) -> Function:
    """[1, 1, C, H, W] of the file."""
    sides = ints(layer.params.shape)
    if len(sides) != 3:
        raise layer.damaged(f"shape {list(sides)}")
    value = weights(layer, layer.params.data, sides, "data").reshape(1, 1, *sides)
    return lambda _blobs: (value,)


def load_constant_nd(layer: Layer) -> Function:
    """Any shape, of the file."""
    value = weights(layer, layer.params.data, ints(layer.params.shape) or (1,), "data")
    return lambda _blobs: (value,)


def reshape_static(layer: Layer) -> Function:
    """A shape of the file; 0 stands for the input's own side."""
    target = ints(layer.params.targetShape)
    return one(lambda x: x.reshape(target))


def rank_preserving_reshape(layer: Layer) -> Function:
    """As many axes as before; 0 stands for the input's own side."""
    target = ints(layer.params.targetShape)
    return one(lambda x: x.reshape([a or b for a, b in zip(target, x.shape, strict=True)]))


def squeeze(layer: Layer) -> Function:
    """Axes of size 1 taken out."""
    axes = list(ints(layer.params.axes))
    return one(lambda x: x.squeeze() if layer.params.squeezeAll else x.squeeze(axes))


def expand_dims(layer: Layer) -> Function:
    """Axes of size 1 put in, by their places in the result."""
    axes = ints(layer.params.axes)

    def expanded(x: torch.Tensor) -> torch.Tensor:
        rank = x.dim() + len(axes)
        for axis in sorted(axis % rank for axis in axes):
            x = x.unsqueeze(axis)
        return x

    return one(expanded)


def flatten_to_2d(layer: Layer) -> Function:
    """All axes before one, and the rest."""

    def flat(x: torch.Tensor) -> torch.Tensor:
        axis = int(layer.params.axis)
        rows = 1
        for side in x.shape[: axis if axis >= 0 else axis + x.dim()]:
            rows *= side
        return x.reshape(rows, -1)

    return one(flat)


def broadcast_to(layer: Layer) -> Function:
    """A shape of the file, each axis of size 1 repeated."""
    target = ints(layer.params.targetShape)
    layer.require_size(target)
    return one(lambda x: x.broadcast_to(target))


def tile(layer: Layer) -> Function:
    """Each axis several times over."""
    counts = ints(layer.params.reps)
    if len(layer.inputs) != 1 or not counts:
        raise layer.unsupported("numbers that are computed")

    def tiled(x: torch.Tensor) -> torch.Tensor:
        layer.require_size((*x.shape, *counts))
        return x.tile(counts)

    return one(tiled)


def copied() -> Callable[[Layer], Function]:
    """A layer that gives what it takes."""
    return lambda _layer: lambda blobs: blobs
