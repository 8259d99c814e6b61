"""From pixel values to tensor values: tables for uint8 pixels, written-out float32 otherwise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import InputBinding, Quant
from phoneproof.core.contract import ImageInput
from phoneproof.core.errors import ConfigError, Unsupported

Values = (
    NDArray[np.float32]
    | NDArray[np.float16]
    | NDArray[np.uint8]
    | NDArray[np.int8]
    | NDArray[np.int16]
)

_DTYPES = ("float32", "float16", "uint8", "int8", "int16")


def value_tables(spec: ImageInput, binding: InputBinding) -> Values:
    """What each pixel value 0..255 becomes.

    Float: ``(p * scale - mean) / std`` in float64, rounded once to float32 (and from there to
    float16). Whole numbers: ``clamp(roundeven(float64(float32 value) / scale) + zero_point)``.
    With `normalise_in_file` the value is p itself.

    Returns:
        The binding's dtype [C, 256], in the order of the contract's `channels`.

    Raises:
        ConfigError: a whole-number input says neither its scale nor `normalise_in_file`.
        Unsupported: another dtype.
    """
    raw = np.arange(256, dtype=np.float64)
    count = spec.channel_count
    if binding.normalise_in_file:
        real = np.repeat(raw[None].astype(np.float32), count, axis=0)
    else:
        mean = np.array(spec.mean, dtype=np.float64)[:, None]
        std = np.array(spec.std, dtype=np.float64)[:, None]
        real = ((raw * spec.scale - mean) / std).astype(np.float32)
    return stored(real, binding)


def float_values(
    pixels: NDArray[np.float32], spec: ImageInput, binding: InputBinding
) -> NDArray[np.float32]:
    """``(p * scale - mean) / std`` for float32 pixels, each operation in float32.

    Args:
        pixels: float32 [H, W, C] in 0..255.
        spec: scale, mean, std.
        binding: with `normalise_in_file` the pixels are returned as they are.

    Returns:
        float32 [H, W, C].
    """
    if binding.normalise_in_file:
        return pixels
    values = pixels * np.float32(spec.scale)
    values -= np.array(spec.mean, dtype=np.float32)
    values /= np.array(spec.std, dtype=np.float32)
    return values


def stored(real: NDArray[np.float32], binding: InputBinding) -> Values:
    """Float32 values as the binding's dtype (quantised where that is a whole-number dtype)."""
    if binding.dtype not in _DTYPES:
        raise Unsupported(
            f"an image input of dtype {binding.dtype}",
            found=f"input {binding.tensor!r}",
            next_step=f"supported are {', '.join(_DTYPES)}",
        )
    if binding.dtype == "float32":
        return real
    if binding.dtype == "float16":
        return real.astype(np.float16)
    return _quantised(real, _quant(binding), np.dtype(binding.dtype))


def _quant(binding: InputBinding) -> Quant:
    if binding.quant is not None:
        return binding.quant
    if binding.normalise_in_file and binding.dtype == "uint8":
        return Quant(scale=1.0, zero_point=0)
    raise ConfigError(
        f"input {binding.tensor!r} is {binding.dtype} and does not say what its numbers mean",
        found="quant null",
        next_step="give quant (scale, zero_point), or normalise_in_file with dtype uint8",
    )


def _quantised(real: NDArray[np.float32], quant: Quant, dtype: np.dtype[np.generic]) -> Values:
    limits = np.iinfo(dtype.name)
    steps = np.rint(real.astype(np.float64) / quant.scale) + quant.zero_point
    whole: Values = np.clip(steps, limits.min, limits.max).astype(dtype)
    return whole
