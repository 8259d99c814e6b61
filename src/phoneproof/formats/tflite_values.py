"""Numbers of a TFLite file's constants: bytes -> arrays, integers -> the reals they stand for."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.tflite import TfliteTensor

_PLAIN: Final = (
    "float32",
    "float16",
    "float64",
    "int8",
    "uint8",
    "int16",
    "int32",
    "int64",
    "bool",
)
_LIMITS: Final = {
    "int4": (-8, 7),
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "int32": (-(2**31), 2**31 - 1),
}


def is_quantised(tensor: TfliteTensor) -> bool:
    """Whether the tensor's integers stand for real numbers."""
    has_scale = tensor.quant is not None or tensor.channel_quant is not None
    return has_scale and tensor.dtype in _LIMITS


def representable_range(tensor: TfliteTensor) -> tuple[float, float, float] | None:
    """(least, largest, step) of the reals a quantised tensor can hold; null for other tensors.

    From real = (q - zero_point) * scale over the integers of its type.
    """
    if tensor.quant is None or tensor.dtype not in _LIMITS:
        return None
    low, high = _LIMITS[tensor.dtype]
    scale, zero = tensor.quant.scale, tensor.quant.zero_point
    return (low - zero) * scale, (high - zero) * scale, scale


def constant_values(tensor: TfliteTensor) -> NDArray[Any]:
    """The values of a constant in its shape.

    Quantised and float16 constants come as float32, by real = (q - zero_point) * scale
    (https://ai.google.dev/edge/litert/models/quantization_spec); others in their own type.

    Raises:
        InvalidInput: the bytes do not fill the shape, or the scales do not fit the channels.
        Unsupported: a sparse constant, or a type that is not handled.
    """
    if tensor.sparse:
        raise Unsupported(
            f"constant {tensor.name!r} is stored sparsely",
            found="a TFLite file with sparsity parameters",
            next_step="convert the model again without sparse storage",
        )
    stored = _stored(tensor)
    if is_quantised(tensor):
        return _dequantised(tensor, stored)
    return stored.astype(np.float32) if tensor.dtype == "float16" else stored


def _stored(tensor: TfliteTensor) -> NDArray[Any]:
    if any(side < 0 for side in tensor.shape):
        raise InvalidInput(
            f"constant {tensor.name!r} has no fixed shape", found=str(list(tensor.shape))
        )
    count = math.prod(tensor.shape)
    if tensor.dtype == "int4":
        values = _nibbles(tensor.data)
        if tensor.data.size != (count + 1) // 2:
            raise _wrong_size(tensor)
        return values[:count].reshape(tensor.shape)
    if tensor.dtype not in _PLAIN:
        raise Unsupported(
            f"constant {tensor.name!r} has a type that is not handled", found=tensor.dtype
        )
    kind = np.dtype(tensor.dtype)
    if tensor.data.size != count * kind.itemsize:
        raise _wrong_size(tensor)
    return np.frombuffer(tensor.data.tobytes(), kind).reshape(tensor.shape)


def _wrong_size(tensor: TfliteTensor) -> InvalidInput:
    return InvalidInput(
        f"constant {tensor.name!r} does not fill its shape",
        found=f"{tensor.data.size} bytes for {tensor.dtype} {list(tensor.shape)}",
        next_step="the file is damaged: copy, download or export it again",
    )


def _nibbles(data: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Two's-complement 4-bit numbers, the low half of a byte first."""
    low = (data << 4).astype(np.uint8).view(np.int8) >> 4
    high = data.view(np.int8) >> 4
    return np.stack([low, high], axis=-1).reshape(-1)


def _dequantised(tensor: TfliteTensor, stored: NDArray[Any]) -> NDArray[np.float32]:
    # float64 until the last step: int32 biases do not fit float32's 24 bits.
    if tensor.channel_quant is None:
        assert tensor.quant is not None
        scale: Any = tensor.quant.scale
        zero: Any = tensor.quant.zero_point
    else:
        channels = tensor.channel_quant
        sides = [1] * stored.ndim
        fits = 0 <= channels.axis < stored.ndim and stored.shape[channels.axis] == len(
            channels.scales
        )
        if not fits:
            raise InvalidInput(
                f"the scales of {tensor.name!r} do not fit its channels",
                found=f"{len(channels.scales)} scales on axis {channels.axis} of "
                f"{list(tensor.shape)}",
            )
        sides[channels.axis] = -1
        scale = np.array(channels.scales, np.float64).reshape(sides)
        zero = np.array(channels.zero_points, np.float64).reshape(sides)
    reals: NDArray[np.float32] = ((stored.astype(np.float64) - zero) * scale).astype(np.float32)
    return reals
