"""One role's numbers: picked out of an output tensor, dequantised, activated.

Everything is float32. A role arrives here in whatever axis order its file has and leaves as
rows of values, one row an anchor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import Activation, Axis, OutputBinding, Quant
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.decode.results import Float

Outputs = Mapping[str, NDArray[Any]]

ANCHOR_AXES: tuple[Axis, ...] = ("anchor", "y", "x")
"""Row order of the anchors of one level (YOLOv5's own order where a cell has several)."""
VALUE_AXES: tuple[Axis, ...] = ("coord", "class", "channel")


def dequantize(values: NDArray[Any], quant: Quant | None) -> Float:
    """``(q - zero_point) * scale`` in float32; a cast where `quant` is None."""
    real = values.astype(np.float32, copy=False)
    if quant is None:
        return real
    return (real - np.float32(quant.zero_point)) * np.float32(quant.scale)


def activate(values: Float, activation: Activation) -> Float:
    """Sigmoid, or softmax over the last axis, in float32.

    ``1 / (1 + exp(-x))`` keeps its relative precision on both sides; where the exponential
    overflows the true value is below the smallest normal float32 and 0 is returned.
    """
    if activation == "none":
        return values
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if activation == "sigmoid":
            return np.float32(1) / (np.float32(1) + np.exp(-values))
        powers = np.exp(values - values.max(axis=-1, keepdims=True))
        normalised: Float = powers / powers.sum(axis=-1, keepdims=True)
        return normalised


def image_tensor(outputs: Outputs, output: OutputBinding, index: int) -> NDArray[Any]:
    """The part of a batched tensor that belongs to one image, as the file holds it.

    Raises:
        InvalidInput: the tensor is missing, or its shape is not the binding's.
    """
    tensor = outputs.get(output.tensor)
    if tensor is None:
        raise InvalidInput(
            f"output tensor {output.tensor!r} is missing",
            found=f"tensors {', '.join(outputs) or '(none)'}",
            next_step="use the binding that was written for this file",
        )
    if tensor.shape != output.shape:
        raise InvalidInput(
            f"output tensor {output.tensor!r} has another shape than its binding",
            found=f"{list(tensor.shape)} instead of {list(output.shape)}",
            next_step="use the binding that was written for this file",
        )
    image: NDArray[Any] = tensor[index]
    return image


def role_rows(outputs: Outputs, output: OutputBinding, index: int = 0) -> Float:
    """float32 [rows, values] of one role: dequantised, sliced and activated.

    Rows follow `ANCHOR_AXES` (row-major); a role without a value axis has one value a row.
    """
    array = in_canonical_order(outputs, output, index)
    width = array.shape[-1]
    return activate(_float_slice(array.reshape(-1, width), output), output.activation)


def role_array(outputs: Outputs, output: OutputBinding, index: int = 0) -> Float:
    """Like `role_rows`, but the spatial axes stay apart (y, x, channel)."""
    if not output.axes:
        array = dequantize(image_tensor(outputs, output, index), output.quant)
    else:
        array = _float_slice(in_canonical_order(outputs, output, index), output)
    return activate(array, output.activation)


def in_canonical_order(outputs: Outputs, output: OutputBinding, index: int) -> NDArray[Any]:
    """The image's tensor with axes anchor, y, x, value; a missing value axis gets length 1."""
    array = image_tensor(outputs, output, index)
    axes = output.axes
    if "bin" in axes:
        raise Unsupported(
            f"output {output.tensor!r} has an axis of bins",
            found=f"axes {list(axes)}",
            next_step="keep the distribution decode (DFL) inside the model",
        )
    values = [axis for axis in axes if axis in VALUE_AXES]
    if len(axes) != array.ndim or len(set(axes)) != len(axes) or len(values) > 1:
        raise InvalidInput(
            f"the axes of output {output.tensor!r} do not describe its shape",
            found=f"axes {list(axes)} for shape {list(output.shape)} (batch first)",
            next_step="name every axis after the batch once; one of coord, class, channel",
        )
    order = [axes.index(axis) for axis in (*ANCHOR_AXES, *VALUE_AXES) if axis in axes]
    array = array.transpose(order)
    return array if values else array[..., np.newaxis]


def _float_slice(array: NDArray[Any], output: OutputBinding) -> Float:
    first, end = output.slice or (0, array.shape[-1])
    if not 0 <= first < end <= array.shape[-1]:
        raise InvalidInput(
            f"the slice of output {output.tensor!r} is outside the tensor",
            found=f"[{first}, {end}) of {array.shape[-1]} values",
        )
    return dequantize(array[..., first:end], output.quant)
