"""WeightParams: numbers as float32, float16, or integers with a scale or a table."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from phoneproof.runtimes.backends.coreml_network.layer import Layer, Message

_MOST_BITS = 8


def weights(layer: Layer, message: Message, shape: tuple[int, ...], what: str) -> torch.Tensor:
    """The numbers of one WeightParams as float32 of a shape, output channels first.

    Raises:
        InvalidInput: another number of values than the shape needs: the weights are missing or
            cut off, or the layer's sizes are absurd.
        Unsupported: weights for int8 arithmetic.
    """
    count = math.prod(shape)
    if message.int8RawValue:
        raise layer.unsupported(f"{what} for arithmetic in int8")
    if message.floatValue:
        values = np.array(message.floatValue, np.float32)
    elif message.float16Value:
        _require_whole(layer, what, len(message.float16Value), 2)
        values = np.frombuffer(message.float16Value, "<f2").astype(np.float32)
    elif message.rawValue:
        values = _expanded(layer, message, count, shape, what)
    else:
        values = np.zeros(0, np.float32)
    if values.size != count:
        raise layer.damaged(f"{values.size} numbers of {what} in place of {list(shape)}")
    return torch.from_numpy(values.reshape(shape))


def _require_whole(layer: Layer, what: str, size: int, width: int) -> None:
    if size % width:
        raise layer.damaged(f"{size} bytes of {what}, not a multiple of {width}")


def _expanded(
    layer: Layer, message: Message, count: int, shape: tuple[int, ...], what: str
) -> NDArray[np.float32]:
    quantization = message.quantization
    bits = int(quantization.numberOfBits)
    if not 1 <= bits <= _MOST_BITS or len(message.rawValue) != -(-count * bits // 8):
        raise layer.damaged(
            f"{len(message.rawValue)} bytes of {what} for {list(shape)} in {bits} bits"
        )
    numbers = _unpacked(message.rawValue, bits, count)
    kind = quantization.WhichOneof("QuantizationType")
    if kind == "lookupTableQuantization":
        table = np.array(quantization.lookupTableQuantization.floatValue, np.float32)
        if len(table) != 1 << bits:
            raise layer.damaged(f"a table of {len(table)} values for {what} in {bits} bits")
        return table[numbers]
    if kind != "linearQuantization":
        raise layer.damaged(f"{what} in {bits} bits without a scale or a table")
    linear = quantization.linearQuantization
    scale = _by_channel(layer, linear.scale, shape, what, 1.0)
    bias = _by_channel(layer, linear.bias, shape, what, 0.0)
    real = numbers.reshape(shape[0], -1).astype(np.float32) * scale + bias
    return np.asarray(real.reshape(-1), np.float32)


def _by_channel(
    layer: Layer, values: Message, shape: tuple[int, ...], what: str, default: float
) -> NDArray[np.float32]:
    found = np.array(values, np.float32) if len(values) else np.array([default], np.float32)
    if len(found) not in (1, shape[0]):
        raise layer.damaged(f"{len(found)} scales for {shape[0]} channels of {what}")
    return found.reshape(-1, 1)


def _unpacked(data: bytes, bits: int, count: int) -> NDArray[np.uint8]:
    """Numbers of `bits` bits each, the first in the highest bits of the first byte."""
    if bits == _MOST_BITS:
        return np.frombuffer(data, np.uint8)
    ones = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits).reshape(count, bits)
    places = (1 << np.arange(bits - 1, -1, -1)).astype(np.uint8)
    return np.asarray((ones * places).sum(1), np.uint8)
