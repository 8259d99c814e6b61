"""Operations that move numbers: shapes, slices, joins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from tests.integration.mil_number_cases import MakeCase
from tests.integration.mil_programs import Array, Case, Draw, tensor


def _one(op: str, x: Array, expected: torch.Tensor, opset: str = "iOS17", **given: Any) -> Case:
    return Case(
        body=lambda mb, x: getattr(mb, op)(x=x, name="out", **given),
        feeds=[x],
        expected=[expected],
        opset=opset,
    )


def reshape(draw: Draw) -> Case:
    x = draw.array((draw.integer(1, 3), draw.integer(1, 4), draw.integer(1, 4)))
    a, b, c = x.shape
    shape, want = draw.choice(
        [
            ((a * b, c), (a * b, c)),
            ((-1,), (a * b * c,)),
            ((0, -1), (b, a * c)),  # counted from the end, 0 stands for b
            ((a, -1, 0), (a, b, c)),
        ]
    )
    return _one("reshape", x, tensor(x).reshape(want), shape=np.array(shape, np.int32))


def reshape_like(draw: Draw) -> Case:
    a, b, c = (draw.integer(1, 4) for _ in range(3))
    x, first, second = draw.array((a * b * c,)), draw.array((a, b, 2)), draw.array((3, c))
    return Case(
        body=lambda mb, x, y, z: mb.reshape_like(
            x=x,
            ref_tensors=(y, z),
            begins=(0, 1),
            ends=(2, 0),
            end_masks=(False, True),
            name="out",
        ),
        feeds=[x, first, second],
        expected=[tensor(x).reshape(a, b, c)],
    )


def expand_dims(draw: Draw) -> Case:
    x = draw.array(draw.shape(1, 3))
    first, second = draw.choice([(0, 1), (0, -1), (1, 2), (-1, -2), (0, 2)])
    expected = np.expand_dims(x, (first, second))
    return _one("expand_dims", x, tensor(expected), axes=[first, second])


def squeeze(draw: Draw) -> Case:
    x = draw.array((1, draw.integer(1, 3), 1, draw.integer(2, 4)))
    axes = draw.choice([None, [0], [0, 2], [-2], [1]])
    expected = tensor(x).squeeze() if axes is None else torch.squeeze(tensor(x), tuple(axes))
    return _one("squeeze", x, expected, **({} if axes is None else {"axes": axes}))


def transpose(draw: Draw) -> Case:
    x = draw.array(draw.shape(2, 4))
    order = draw.permutation(x.ndim)
    return _one("transpose", x, tensor(x).permute(order), perm=order)


def flatten2d(draw: Draw) -> Case:
    x = draw.array(draw.shape(2, 4))
    axis = draw.integer(1, x.ndim - 1)
    expected = tensor(x).flatten(0, axis - 1).flatten(1)
    return _one("flatten2d", x, expected, axis=axis)


def concat(draw: Draw) -> Case:
    shape = draw.shape(2, 4)
    axis, turns = draw.axes(len(shape))[0], draw.flag()
    other = list(shape)
    if not turns:
        other[axis] = draw.integer(1, 3)
    x, y = draw.array(shape), draw.array(other)
    joined = torch.cat([tensor(x), tensor(y)], axis)
    if turns:
        joined = torch.zeros_like(joined)
        place: list[Any] = [slice(None)] * len(shape)
        for start, part in ((0, x), (1, y)):
            place[axis] = slice(start, None, 2)
            joined[tuple(place)] = tensor(part)
    return Case(
        body=lambda mb, x, y: mb.concat(values=(x, y), axis=axis, interleave=turns, name="out"),
        feeds=[x, y],
        expected=[joined],
    )


def stack(draw: Draw) -> Case:
    shape = draw.shape(1, 3)
    x, y, axis = draw.array(shape), draw.array(shape), draw.integer(0, len(shape))
    return Case(
        body=lambda mb, x, y: mb.stack(values=(x, y), axis=axis, name="out"),
        feeds=[x, y],
        expected=[torch.stack([tensor(x), tensor(y)], axis)],
    )


def split(draw: Draw) -> Case:
    sizes = [draw.integer(1, 3), draw.integer(1, 3)]
    given: dict[str, Any] = {"split_sizes": sizes}
    if draw.flag():
        sizes, given = [2, 2], {"num_splits": 2}
    axis = draw.choice([0, 1, -1])
    shape = [2, 3, 2]
    shape[axis] = sum(sizes)
    x = draw.array(shape)
    return Case(
        body=lambda mb, x: mb.split(x=x, axis=axis, name="out", **given),
        feeds=[x],
        expected=list(torch.split(tensor(x), sizes, axis)),
    )


def tile(draw: Draw) -> Case:
    x = draw.array(draw.shape(1, 3, 4))
    times = [draw.integer(1, 3) for _ in x.shape]
    return _one("tile", x, tensor(np.tile(x, times)), reps=times)


def reverse(draw: Draw) -> Case:
    x = draw.array(draw.shape(1, 4))
    axes = draw.axes(x.ndim)
    return _one("reverse", x, torch.flip(tensor(x), axes), axes=axes)


def _blocks(draw: Draw) -> tuple[Array, int]:
    block = draw.integer(2, 3)
    return draw.array((2, block**2 * draw.integer(1, 2), 2 * block, block)), block


def pixel_shuffle(draw: Draw) -> Case:
    x, block = _blocks(draw)
    return _one(
        "pixel_shuffle", x, functional.pixel_shuffle(tensor(x), block), upscale_factor=block
    )


def pixel_unshuffle(draw: Draw) -> Case:
    x, block = _blocks(draw)
    expected = functional.pixel_unshuffle(tensor(x), block)
    return _one("pixel_unshuffle", x, expected, downscale_factor=np.uint32(block))


def _space_to_depth(x: Array, block: int) -> torch.Tensor:
    """TensorFlow's order: rows and columns of the block before the channels."""
    parts = [tensor(x)[:, :, r::block, c::block] for r in range(block) for c in range(block)]
    return torch.cat(parts, 1)


def space_to_depth(draw: Draw) -> Case:
    x, block = _blocks(draw)
    return _one("space_to_depth", x, _space_to_depth(x, block), block_size=block)


def depth_to_space(draw: Draw) -> Case:
    x, block = _blocks(draw)
    n, c, h, w = x.shape
    wide = torch.zeros(n, c // block**2, h * block, w * block)
    for place, part in enumerate(tensor(x).chunk(block**2, 1)):
        wide[:, :, place // block :: block, place % block :: block] = part
    return _one("depth_to_space", x, wide, block_size=block)


def space_to_batch(draw: Draw) -> Case:
    rows, columns = draw.integer(1, 3), draw.integer(1, 2)
    x = draw.array((2, 2, rows * 2 - 1, columns * 3))
    padded = functional.pad(tensor(x), (0, 0, 1, 0))
    parts = [padded[:, :, r::rows, c::columns] for r in range(rows) for c in range(columns)]
    return _one(
        "space_to_batch",
        x,
        torch.cat(parts, 0),
        block_shape=[rows, columns],
        paddings=np.array([[1, 0], [0, 0]], np.int32),
    )


def batch_to_space(draw: Draw) -> Case:
    rows, columns = draw.integer(1, 3), draw.integer(1, 2)
    x = draw.array((2 * rows * columns, 2, 3, 2))
    wide = torch.zeros(2, 2, 3 * rows, 2 * columns)
    for place, part in enumerate(tensor(x).chunk(rows * columns, 0)):
        wide[:, :, place // columns :: rows, place % columns :: columns] = part
    return _one(
        "batch_to_space",
        x,
        wide[:, :, 1:],
        block_shape=[rows, columns],
        crops=np.array([[1, 0], [0, 0]], np.int32),
    )


def sliding_windows(draw: Draw) -> Case:
    x, size, step = draw.array((2, 6, 3)), draw.integer(1, 4), draw.integer(1, 2)
    expected = tensor(x).unfold(1, size, step).transpose(-1, -2)
    return _one("sliding_windows", x, expected, axis=1, size=size, stride=step)


def _slice(draw: Draw) -> tuple[Array, dict[str, Any], tuple[Any, ...]]:
    """An array, the operation's arguments, and NumPy's index that says the same."""
    x = draw.array([draw.integer(2, 6) for _ in range(draw.integer(1, 3))])
    begins, ends, strides = [], [], []
    index: list[int | slice] = []
    masks: tuple[list[bool], list[bool], list[bool]] = ([], [], [])
    for side in x.shape:
        first = draw.integer(0, side - 1)
        last = draw.integer(first + 1, side)
        step, from_start, to_end, single = draw.integer(1, 2), draw.flag(), draw.flag(), False
        if len(x.shape) > 1 and len(index) == 0:
            single = draw.flag()
        begins.append(first - side if draw.flag() else first)
        ends.append(last - side if last < side and draw.flag() else last)
        strides.append(1 if single else step)
        from_start = from_start and not single
        for mask, value in zip(masks, (from_start, to_end, single), strict=True):
            mask.append(value)
        whole = slice(None if from_start else first, None if to_end else last, step)
        index.append(first if single else whole)
    given: dict[str, Any] = {"begin": begins, "end": ends, "stride": strides}
    given |= dict(zip(("begin_mask", "end_mask", "squeeze_mask"), masks, strict=True))
    return x, given, tuple(index)


def slice_by_index(draw: Draw) -> Case:
    if draw.integer(0, 3) == 0:
        x = draw.array((5, 3))
        expected = tensor(np.ascontiguousarray(x[4:0:-2]))
        return _one(
            "slice_by_index",
            x,
            expected,
            begin=[4, 0],
            end=[0, 3],
            stride=[-2, 1],
        )
    x, given, index = _slice(draw)
    return _one("slice_by_index", x, tensor(x[index]), **given)


def slice_by_size(draw: Draw) -> Case:
    x = draw.array((5, 4))
    begin = [draw.integer(0, 3), draw.integer(-3, 2)]
    size = [draw.choice([-1, 1]), draw.choice([-1, 1])]
    index = []
    for side, first, count in zip(x.shape, begin, size, strict=True):
        start = first % side
        index.append(slice(start, side if count == -1 else start + count))
    return _one(
        "slice_by_size",
        x,
        tensor(x[tuple(index)]),
        begin=np.array([b % s for b, s in zip(begin, x.shape, strict=True)], np.int32),
        size=np.array(size, np.int32),
    )


def slice_update(draw: Draw) -> Case:
    x, given, index = _slice(draw)
    part = draw.array(x[index].shape)
    expected = x.copy()
    expected[index] = part
    return Case(
        body=lambda mb, x, y: mb.slice_update(x=x, update=y, name="out", **given),
        feeds=[x, part],
        expected=[tensor(expected)],
        opset="iOS18",
    )


def crop(draw: Draw) -> Case:
    x = draw.array((1, 2, 6, 5))
    top, bottom, left, right = (draw.integer(0, 2) for _ in range(4))
    expected = tensor(x)[:, :, top : 6 - bottom, left : 5 - right]
    return _one("crop", x, expected, crop_height=[top, bottom], crop_width=[left, right])


def pad(draw: Draw) -> Case:
    x = draw.array([draw.integer(3, 5) for _ in range(draw.integer(2, 4))])
    count = draw.integer(1, 2)
    pads = [draw.integer(0, 2) for _ in range(2 * count)]
    mode = draw.choice(["constant", "reflect", "replicate"])
    pairs = [(0, 0)] * (x.ndim - count) + [(pads[2 * i], pads[2 * i + 1]) for i in range(count)]
    if mode == "constant":
        expected = np.pad(x, pairs, constant_values=1.5)
    else:
        expected = np.pad(x, pairs, mode="reflect" if mode == "reflect" else "edge")
    return _one(
        "pad", x, tensor(expected), pad=np.array(pads, np.int32), mode=mode, constant_val=1.5
    )


def band_part(draw: Draw) -> Case:
    x = draw.array((2, draw.integer(1, 5), draw.integer(1, 5)))
    lower, upper = draw.integer(-1, 3), draw.integer(-1, 3)
    expected = x if lower < 0 else np.triu(x, -lower)
    expected = expected if upper < 0 else np.tril(expected, upper)
    return _one("band_part", x, tensor(expected), lower=lower, upper=upper)


SHAPE_CASES: Mapping[str, MakeCase] = {
    "band_part": band_part,
    "batch_to_space": batch_to_space,
    "concat": concat,
    "crop": crop,
    "depth_to_space": depth_to_space,
    "expand_dims": expand_dims,
    "flatten2d": flatten2d,
    "pad": pad,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "reshape": reshape,
    "reshape_like": reshape_like,
    "reverse": reverse,
    "slice_by_index": slice_by_index,
    "slice_by_size": slice_by_size,
    "slice_update": slice_update,
    "sliding_windows": sliding_windows,
    "space_to_batch": space_to_batch,
    "space_to_depth": space_to_depth,
    "split": split,
    "squeeze": squeeze,
    "stack": stack,
    "tile": tile,
    "transpose": transpose,
}
