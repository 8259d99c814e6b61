"""Resizing: TensorFlow's three rules for where a pixel comes from.

align_corners: i * (in - 1) / (out - 1). half_pixel_centers: (i + .5) * in / out - .5. Neither (the
legacy rule of TensorFlow 1): i * in / out. (tensorflow/lite/kernels/internal/reference/
resize_bilinear.h and resize_nearest_neighbor.h)
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional

from phoneproof.core.errors import InvalidInput
from phoneproof.runtimes.backends.tflite_torch.call import Call, Operator, Value, first

Size = tuple[int, int]


def _sizes(call: Call, image: torch.Tensor) -> tuple[Size, Size]:
    wanted = call.numbers(1)
    if len(wanted) != 2 or min(wanted) < 1 or max(wanted) > 16384:
        raise InvalidInput(f"{call.where} resizes to {list(wanted)}")
    return (int(image.shape[2]), int(image.shape[3])), (wanted[0], wanted[1])


def resize_bilinear(call: Call) -> Value:
    """RESIZE_BILINEAR."""
    image = call.value(0).nchw
    have, wanted = _sizes(call, image)
    if have == wanted:
        return first(image)
    if have == (1, 1):
        # Not expand(): litert-torch turns the axes but not the shape it writes into BROADCAST_TO.
        return first(image * image.new_ones((1, 1, *wanted)))
    if call.options.flag("alignCorners"):
        if all(side > 1 for side in wanted):
            return first(
                functional.interpolate(image, size=wanted, mode="bilinear", align_corners=True)
            )
        return first(_by_taps(call, image, have, wanted))
    if call.options.flag("halfPixelCenters"):
        return first(
            functional.interpolate(image, size=wanted, mode="bilinear", align_corners=False)
        )
    if all(new % old == 0 for old, new in zip(have, wanted, strict=True)):
        return first(_legacy_whole_factor(image, wanted))
    return first(_by_taps(call, image, have, wanted))


def _legacy_whole_factor(image: torch.Tensor, wanted: Size) -> torch.Tensor:
    """The legacy rule as the aligned one of an image with its last row and column repeated.

    With n + 1 points and f * n + 1 results the aligned rule gives i * n / (f * n) = i / f, which
    is the legacy rule; the last result is the repeated pixel and is dropped. Converters know the
    aligned resize, but no gather with weights.
    """
    image = torch.cat([image, image[:, :, -1:, :]], dim=2)
    image = torch.cat([image, image[:, :, :, -1:]], dim=3)
    size = (wanted[0] + 1, wanted[1] + 1)
    large = functional.interpolate(image, size=size, mode="bilinear", align_corners=True)
    return large[:, :, : wanted[0], : wanted[1]]


def _by_taps(call: Call, image: torch.Tensor, have: Size, wanted: Size) -> torch.Tensor:
    """Each axis from two taps and a weight; exact for any factor."""
    aligned = call.options.flag("alignCorners")
    for axis, (old, new) in enumerate(zip(have, wanted, strict=True), start=2):
        if old == new:
            continue
        scale = (old - 1) / (new - 1) if aligned and new > 1 else old / new
        place = torch.arange(new, dtype=torch.float32) * torch.tensor(scale, dtype=torch.float32)
        low = place.floor().clamp(max=old - 1)
        high = (low + 1).clamp(max=old - 1).to(torch.int64)
        share = (place - low).reshape([-1 if a == axis else 1 for a in range(4)])
        part = f"axis_{axis}"
        taps = [
            call.weights.parameter(f"{part}_low", (-1, f"{call.where}{part}l"), low.long),
            call.weights.parameter(f"{part}_high", (-1, f"{call.where}{part}h"), high.long),
        ]
        weight = call.weights.parameter(
            f"{part}_share", (-1, f"{call.where}{part}s"), share.contiguous
        )
        before, after = (torch.index_select(image, axis, tap) for tap in taps)
        image = before + (after - before) * weight
    return image


def resize_nearest_neighbor(call: Call) -> Value:
    """RESIZE_NEAREST_NEIGHBOR."""
    image = call.value(0).nchw
    have, wanted = _sizes(call, image)
    if have == wanted:
        return first(image)
    whole = all(new % old == 0 for old, new in zip(have, wanted, strict=True))
    if call.options.flag("alignCorners"):
        return first(_nearest_aligned(call, image, have, wanted))
    if call.options.flag("halfPixelCenters") and not whole:
        return first(functional.interpolate(image, size=wanted, mode="nearest-exact"))
    # By a whole factor both rules repeat each pixel.
    return first(functional.interpolate(image, size=wanted, mode="nearest"))


def _nearest_aligned(call: Call, image: torch.Tensor, have: Size, wanted: Size) -> torch.Tensor:
    half = 0.5 if call.options.flag("halfPixelCenters") else 0.0
    for axis, (old, new) in enumerate(zip(have, wanted, strict=True), start=2):
        scale = torch.tensor((old - 1) / (new - 1) if new > 1 else old / new, dtype=torch.float32)
        place = (torch.arange(new, dtype=torch.float32) + half) * scale
        index = (place + 0.5).floor().clamp(max=old - 1)  # halves away from zero
        part = f"axis_{axis}"
        tap = call.weights.parameter(part, (-1, f"{call.where}{part}"), index.long)
        image = torch.index_select(image, axis, tap)
    return image


RESIZES: Mapping[str, Operator] = {
    "RESIZE_BILINEAR": resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": resize_nearest_neighbor,
}
