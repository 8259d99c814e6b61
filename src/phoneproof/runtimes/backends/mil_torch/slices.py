"""Parts of tensors: slices, crops, padding, bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from phoneproof.runtimes.backends.mil_torch.call import MOST_NUMBERS, Call, Operator


def _places(call: Call, x: Tensor) -> tuple[tuple[range, ...], set[int]]:
    """For each axis the indices that a slice takes, and the axes that are then dropped.

    Never written out: an input may be long, and planning asks for shapes alone.
    """
    rank = x.dim()
    begins, ends = call.integers("begin"), call.integers("end")
    strides = call.integers("stride", (1,) * rank)
    from_start, to_end = call.flags("begin_mask", rank), call.flags("end_mask", rank)
    single = call.flags("squeeze_mask", rank)
    if not len(begins) == len(ends) == len(strides) == rank:
        raise call.misfit(f"a slice of {len(begins)} axes from {rank}")
    taken = []
    for axis, side in enumerate(int(side) for side in x.shape):
        begin = None if from_start[axis] else begins[axis]
        if single[axis]:
            place = (begin or 0) + (side if (begin or 0) < 0 else 0)
            whole = range(place, place + 1) if 0 <= place < side else range(0)
        else:
            end = None if to_end[axis] else ends[axis]
            whole = range(side)[slice(begin, end, strides[axis])]
        taken.append(whole)
    return tuple(taken), {axis for axis in range(rank) if single[axis]}


def _upward(places: Sequence[range]) -> tuple[tuple[slice, ...], list[int]]:
    """The same places as slices, and the axes to be flipped: torch knows no negative steps."""
    flipped = [axis for axis, whole in enumerate(places) if whole.step < 0]
    rising = [whole[::-1] if whole.step < 0 else whole for whole in places]
    views = [slice(up[0], up[-1] + 1, up.step) if up else slice(0, 0) for up in rising]
    return tuple(views), flipped


def slice_by_index(call: Call, /) -> Tensor:
    """x[begin:end:stride] along each axis."""
    x = call.tensor("x")
    places, gone = _places(call, x)
    views, flipped = _upward(places)
    x = x[views].flip(flipped) if flipped else x[views]
    return x.reshape([side for axis, side in enumerate(x.shape) if axis not in gone])


def slice_by_size(call: Call, /) -> Tensor:
    """``size`` numbers from ``begin`` on along each axis; -1 takes the rest."""
    x = call.tensor("x")
    begins, sizes = call.integers("begin"), call.integers("size")
    if not len(begins) == len(sizes) == x.dim():
        raise call.misfit(f"a slice of {len(begins)} axes from {x.dim()}")
    for axis, (begin, size) in enumerate(zip(begins, sizes, strict=True)):
        side = int(x.shape[axis])
        first = begin + side if begin < 0 else begin
        x = torch.narrow(x, axis, first, side - first if size == -1 else size)
    return x


def slice_update(call: Call, /) -> Tensor:
    """x with a slice replaced."""
    x, update = call.tensor("x"), call.tensor("update")
    if x.dtype != update.dtype:
        raise call.misfit(f"{update.dtype} put into {x.dtype}")
    places, _ = _places(call, x)
    views, flipped = _upward(places)
    result = x.clone()
    result[views] = update.reshape([len(whole) for whole in places]).flip(flipped)
    return result


def crop(call: Call, /) -> Tensor:
    """Without some rows and columns at the edges."""
    x = call.tensor("x")
    top, bottom = call.integers("crop_height")
    left, right = call.integers("crop_width")
    height, width = int(x.shape[-2]), int(x.shape[-1])
    return x[..., top : height - bottom, left : width - right]


def pad(call: Call, /) -> Tensor:
    """The last axes padded: constant, reflected without the edge, or the edge repeated."""
    x, pads = call.tensor("x"), call.integers("pad")
    if len(pads) % 2 or len(pads) > 2 * x.dim():
        raise call.misfit(f"{len(pads)} paddings for {x.dim()} axes")
    mode = call.text("mode", "constant")
    if mode == "constant":
        pairs = [pads[i : i + 2] for i in range(0, len(pads), 2)][::-1]
        sides = [side for pair in pairs for side in pair]
        return functional.pad(x, sides, value=call.real("constant_val", 0.0))
    if mode not in ("reflect", "replicate"):
        raise call.unsupported(f"mode {mode!r}")
    for axis, i in enumerate(range(0, len(pads), 2), start=x.dim() - len(pads) // 2):
        if pads[i] or pads[i + 1]:
            x = _extended(call, x, axis, (pads[i], pads[i + 1]), mirror=mode == "reflect")
    return x


def _extended(call: Call, x: Tensor, axis: int, pads: tuple[int, int], *, mirror: bool) -> Tensor:
    side = int(x.shape[axis])
    if min(pads) < 0 or max(pads) > MOST_NUMBERS:
        raise call.misfit(f"{pads} numbers put around {side}")
    places = torch.arange(-pads[0], side + pads[1], device=x.device)
    if mirror:
        if max(pads) >= side:
            raise call.misfit(f"{max(pads)} numbers reflected of {side}")
        places = places.abs()
        places = torch.where(places >= side, 2 * (side - 1) - places, places)
    return x.index_select(axis, places.clamp(0, side - 1))


def band_part(call: Call, /) -> Tensor:
    """Zeros outside a band around the diagonal of the last two axes; -1 keeps a whole side."""
    x = call.tensor("x")
    lower, upper = call.integer("lower", -1), call.integer("upper", -1)
    rows = torch.arange(x.shape[-2], device=x.device)[:, None]
    columns = torch.arange(x.shape[-1], device=x.device)[None, :]
    inside = torch.ones((1, 1), dtype=torch.bool, device=x.device)
    if lower >= 0:
        inside = inside & (rows - columns <= lower)
    if upper >= 0:
        inside = inside & (columns - rows <= upper)
    return torch.where(inside, x, torch.zeros_like(x))


SLICES: Mapping[str, Operator] = {
    "band_part": band_part,
    "crop": crop,
    "pad": pad,
    "slice_by_index": slice_by_index,
    "slice_by_size": slice_by_size,
    "slice_update": slice_update,
}
