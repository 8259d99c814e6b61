"""Resizing the last axes of a tensor: linear and nearest, with Core ML's sampling modes.

A sampling mode says where on the input's axis (0 to side - 1) each output position lies; the
formulas are those of coremltools' ``resize_bilinear``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from phoneproof.runtimes.backends.mil_torch.call import Call, Operator

Places = Callable[[int, int], Tensor]
"""(input side, output side) -> float64 positions, not yet cut to the input."""


LONGEST_SIDE: Final = 1 << 20
"""No image is longer; damaged and hostile files ask for it."""


def _require_sides(call: Call, sides: Sequence[int]) -> None:
    if not all(1 <= side <= LONGEST_SIDE for side in sides):
        raise call.misfit(f"a resize to {list(sides)}")


def _steps(count: int) -> Tensor:
    return torch.arange(count, dtype=torch.float64)


def _strict_corners(have: int, want: int) -> Tensor:
    return _steps(want) * ((have - 1) / (want - 1) if want > 1 else 0.0)


def _corners(have: int, want: int) -> Tensor:
    if want == 1:
        return torch.tensor([(have - 1) / 2], dtype=torch.float64)
    return _strict_corners(have, want)


def _default(have: int, want: int) -> Tensor:
    return _steps(want) * (have / want)


def _offset(have: int, want: int) -> Tensor:
    return (_steps(want) + 0.5) * (max(1, have - 1) / want)


def _unaligned(have: int, want: int) -> Tensor:
    return (_steps(want) + 0.5) * (have / want) - 0.5


_MODES: Final[Mapping[str, Places]] = {
    "STRICT_ALIGN_CORNERS": _strict_corners,
    "ALIGN_CORNERS": _corners,
    "DEFAULT": _default,
    "OFFSET_CORNERS": _offset,
    "UNALIGN_CORNERS": _unaligned,
}

_TORCH_ALIGNS: Final = {"STRICT_ALIGN_CORNERS": True, "UNALIGN_CORNERS": False}
"""Modes that torch's own bilinear resize knows, and how it calls them."""


def linear(call: Call, x: Tensor, sides: Sequence[int], mode: str) -> Tensor:
    """The last `len(sides)` axes of `x` resized by linear interpolation."""
    _require_sides(call, sides)
    if mode not in _MODES:
        raise call.unsupported(f"sampling mode {mode!r}")
    if mode in _TORCH_ALIGNS and len(sides) == 2 and x.dim() == 4 and x.is_floating_point():
        return functional.interpolate(
            x, tuple(sides), mode="bilinear", align_corners=_TORCH_ALIGNS[mode]
        )
    for axis, side in enumerate(sides, start=x.dim() - len(sides)):
        x = _along(x, axis, _MODES[mode](int(x.shape[axis]), side))
    return x


def _along(x: Tensor, axis: int, places: Tensor) -> Tensor:
    last = int(x.shape[axis]) - 1
    places = places.clamp(0, last)
    lower = places.floor()
    shape = [1] * x.dim()
    shape[axis] = -1
    share = (places - lower).to(torch.float32).reshape(shape).to(x.device)
    first = lower.long().to(x.device)
    below = x.index_select(axis, first)
    above = x.index_select(axis, (first + 1).clamp(max=last))
    return below + (above - below) * share


def nearest(call: Call, x: Tensor, sides: Sequence[int], mode: str) -> Tensor:
    """The last `len(sides)` axes of `x` resized by repeating numbers."""
    _require_sides(call, sides)
    if mode not in ("DEFAULT", "UNALIGN_CORNERS"):
        raise call.unsupported(f"nearest neighbours with sampling mode {mode!r}")
    for axis, side in enumerate(sides, start=x.dim() - len(sides)):
        have = int(x.shape[axis])
        shift = 0.0 if mode == "DEFAULT" else 0.5
        places = ((_steps(side) + shift) * have / side).floor().clamp(0, have - 1)
        if side != have:
            x = x.index_select(axis, places.long().to(x.device))
    return x


def _image(call: Call) -> Tensor:
    x = call.tensor("x")
    if x.dim() < 3:
        raise call.misfit(f"an image of {x.dim()} axes")
    return x


def _scaled_sides(call: Call, x: Tensor) -> tuple[int, int]:
    height, width = (
        math.floor(float(call.real(f"scale_factor_{name}", 1.0)) * int(side))
        for name, side in zip(("height", "width"), x.shape[-2:], strict=True)
    )
    return height, width


def _target_sides(call: Call, default: int | None) -> tuple[int, int]:
    return (
        call.integer("target_size_height", default),
        call.integer("target_size_width", default),
    )


def upsample_nearest_neighbor(call: Call, /) -> Tensor:
    """By factors, repeating numbers."""
    x = _image(call)
    sides = _scaled_sides(call, x)
    if x.dim() == 4 and sides == (2 * x.shape[-2], 2 * x.shape[-1]):
        return functional.interpolate(x, scale_factor=2.0, mode="nearest")
    return nearest(call, x, sides, "DEFAULT")


def resize_nearest_neighbor(call: Call, /) -> Tensor:
    """To a size, repeating numbers."""
    return nearest(call, _image(call), _target_sides(call, None), "DEFAULT")


def upsample_bilinear(call: Call, /) -> Tensor:
    """By factors, linear."""
    x = _image(call)
    corners = call.flag("align_corners", True)
    halves = call.flag("half_pixel_centers", not corners)
    if corners and halves:
        raise call.unsupported("aligned corners together with half-pixel centres")
    mode = "STRICT_ALIGN_CORNERS" if corners else "UNALIGN_CORNERS" if halves else "DEFAULT"
    return linear(call, x, _scaled_sides(call, x), mode)


def resize_bilinear(call: Call, /) -> Tensor:
    """To a size, linear."""
    mode = call.text("sampling_mode", "DEFAULT")
    return linear(call, _image(call), _target_sides(call, 1), mode)


def resize(call: Call, /) -> Tensor:
    """The last ``resized_dims`` axes to the last numbers of ``shape``; 0 keeps a side."""
    x, count = call.tensor("x"), call.integer("resized_dims")
    shape = call.integers("shape")
    if not 0 <= count <= min(len(shape), x.dim()):
        raise call.misfit(f"{count} of {len(shape)} sizes for {x.dim()} axes")
    if count == 0:
        return x
    sides = tuple(
        want or int(have) for want, have in zip(shape[-count:], x.shape[-count:], strict=True)
    )
    mode = call.text("sampling_mode", "DEFAULT")
    kind = call.text("interpolation_mode", "LINEAR")
    if kind == "LINEAR":
        return linear(call, x, sides, mode)
    if kind == "NEAREST_NEIGHBOR":
        return nearest(call, x, sides, mode)
    raise call.unsupported(f"interpolation {kind!r}")


RESIZES: Mapping[str, Operator] = {
    "resize": resize,
    "resize_bilinear": resize_bilinear,
    "resize_nearest_neighbor": resize_nearest_neighbor,
    "upsample_bilinear": upsample_bilinear,
    "upsample_nearest_neighbor": upsample_nearest_neighbor,
}
