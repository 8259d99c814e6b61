"""One role's numbers: picked out of an output tensor, dequantised, activated.

Everything is float32. A role arrives here in whatever axis order its file has and leaves as
rows of values, one row an anchor. Bins of a distribution stay beside their coordinate, in the
order of the axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import Activation, Axis, OutputBinding, Quant
from phoneproof.core.contract import Size
from phoneproof.core.errors import InvalidInput
from phoneproof.decode.results import Float

Outputs = Mapping[str, NDArray[Any]]

Rows = tuple[Axis, Axis, Axis]

SHAPE_FIRST: Rows = ("anchor", "y", "x")
"""Row order of the anchors of one level: YOLOv5's, where a cell has several."""
CELL_FIRST: Rows = ("y", "x", "anchor")
"""Row order of SSD's priors."""
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
    if not _fits(tensor.shape, output.shape):
        raise InvalidInput(
            f"output tensor {output.tensor!r} has another shape than its binding",
            found=f"{list(tensor.shape)} instead of {list(output.shape)}",
            next_step="use the binding that was written for this file",
        )
    if -1 in output.shape:  # of one image, without a batch dimension
        return tensor
    image: NDArray[Any] = tensor[index]
    return image


def _fits(shape: tuple[int, ...], bound: tuple[int, ...]) -> bool:
    """Equal, where -1 stands for any number of rows."""
    return len(shape) == len(bound) and all(
        want in (-1, have) for have, want in zip(shape, bound, strict=True)
    )


def role_rows(
    outputs: Outputs, output: OutputBinding, index: int = 0, *, order: Rows = SHAPE_FIRST
) -> Float:
    """float32 [rows, values] of one role: dequantised, sliced and activated.

    Rows follow `order` (row-major); a role without a value axis has one value a row.
    """
    array = in_canonical_order(outputs, output, index, order=order)
    width = array.shape[-1]
    return activate(_float_slice(array.reshape(-1, width), output), output.activation)


def role_array(outputs: Outputs, output: OutputBinding, index: int = 0) -> Float:
    """Like `role_rows`, but the spatial axes stay apart (y, x, channel)."""
    if not output.axes:
        array = dequantize(image_tensor(outputs, output, index), output.quant)
    else:
        array = _float_slice(in_canonical_order(outputs, output, index), output)
    return activate(array, output.activation)


def level_cells(output: OutputBinding) -> Size | None:
    """Rows and columns of the grid a tensor covers; None where its axes do not tell."""
    if "y" not in output.axes or "x" not in output.axes:
        return None
    shape = output.shape[1:]
    return shape[output.axes.index("y")], shape[output.axes.index("x")]


def in_canonical_order(
    outputs: Outputs, output: OutputBinding, index: int, *, order: Rows = SHAPE_FIRST
) -> NDArray[Any]:
    """The image's tensor with the axes of `order`, then one axis of values.

    A missing value axis gets length 1; a packed one is split into anchors and values; a `bin`
    axis is joined to the value axis.
    """
    array = image_tensor(outputs, output, index)
    axes = output.axes
    values = [axis for axis in axes if axis in VALUE_AXES]
    if len(axes) != array.ndim or len(set(axes)) != len(axes) or len(values) > 1:
        raise _undescribed(
            output, "name every axis after the batch once; one of coord, class, channel"
        )
    places = [axes.index(axis) for axis in order if axis in axes]
    inner = [place for place, axis in enumerate(axes) if axis == "bin" or axis in VALUE_AXES]
    array = array.transpose(places + inner)
    # Not -1: a picture may have no row at all, and then any width would do.
    array = array.reshape(*array.shape[: len(places)], prod(array.shape[len(places) :]))
    return array if output.packed == 1 else _unpacked(array, output, order)


def _unpacked(array: NDArray[Any], output: OutputBinding, order: Rows) -> NDArray[Any]:
    """Split the value axis into anchors and values, and bring the anchors to their place."""
    axes, packed = output.axes, output.packed
    if packed < 1 or array.shape[-1] % packed or "anchor" in axes or "bin" in axes:
        raise _undescribed(
            output,
            f"{packed} anchors packed in {array.shape[-1]} values must divide them, and there is "
            "no axis of anchors or bins then",
        )
    array = array.reshape(*array.shape[:-1], packed, -1)
    place = sum(axis in axes for axis in order[: order.index("anchor")])
    return np.moveaxis(array, -2, place)


def _undescribed(output: OutputBinding, next_step: str) -> InvalidInput:
    return InvalidInput(
        f"the axes of output {output.tensor!r} do not describe its shape",
        found=f"axes {list(output.axes)} for shape {list(output.shape)} (batch first)",
        next_step=next_step,
    )


def _float_slice(array: NDArray[Any], output: OutputBinding) -> Float:
    first, end = output.slice or (0, array.shape[-1])
    if not 0 <= first < end <= array.shape[-1]:
        raise InvalidInput(
            f"the slice of output {output.tensor!r} is outside the tensor",
            found=f"[{first}, {end}) of {array.shape[-1]} values",
        )
    return dequantize(array[..., first:end], output.quant)
