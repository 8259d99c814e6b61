"""TensorFlow's SAME padding, and fused activations.

SAME: the output has ceil(size / stride) positions; the missing pixels are split evenly, the spare
one at the end (tf.nn documentation, "Notes on padding").
"""

from __future__ import annotations

import torch
from torch.nn import functional

from phoneproof.runtimes.backends.tflite_torch.call import Call

_SAME, _VALID = 0, 1  # schema.Padding
Pads = tuple[tuple[int, int], tuple[int, int]]
"""(before, after) of height and of width."""


def window_pads(
    call: Call, size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]
) -> Pads:
    """The pixels added around an image of `size` for a window of (dilated) sides `kernel`."""
    kind = call.options.number("padding")
    if kind == _VALID:
        return (0, 0), (0, 0)
    if kind != _SAME:
        raise call.unsupported(f"padding kind {kind}")
    height, width = (
        _same(side, window, step) for side, window, step in zip(size, kernel, stride, strict=True)
    )
    return height, width


def _same(side: int, window: int, step: int) -> tuple[int, int]:
    missing = max((-(-side // step) - 1) * step + window - side, 0)
    return missing // 2, missing - missing // 2


def is_even(pads: Pads) -> bool:
    """Whether as much is added before as after, as torch's own padding arguments do."""
    return all(before == after for before, after in pads)


def padded(image: torch.Tensor, pads: Pads, value: float = 0.0) -> torch.Tensor:
    """An [N, C, H, W] image with a border of `value`."""
    (top, bottom), (left, right) = pads
    if not any((top, bottom, left, right)):
        return image
    return functional.pad(image, (left, right, top, bottom), value=value)


def strides(call: Call) -> tuple[int, int]:
    """(vertical, horizontal)."""
    return call.options.positive("strideH"), call.options.positive("strideW")


def activated(call: Call, tensor: torch.Tensor) -> torch.Tensor:
    """The operator's fused activation applied.

    Raises:
        Unsupported: TANH and SIGN_BIT, which the schema knows and LiteRT's kernels silently leave
            out: no converter writes them, and nobody can tell what was meant.
    """
    kind = call.options.number("fusedActivationFunction")
    match kind:
        case 0:
            return tensor
        case 1:
            return functional.relu(tensor)
        case 2:
            return torch.clamp(tensor, -1.0, 1.0)
        case 3:
            return functional.relu6(tensor)
    raise call.unsupported(f"fused activation {kind}")
