"""Image inputs that several areas share."""

from __future__ import annotations

from typing import Final

import msgspec

from phoneproof.core.binding import DType, InputBinding, Layout, Quant
from phoneproof.core.contract import (
    Channels,
    Filter,
    GeometryOp,
    GrayFormula,
    ImageInput,
    Pad,
    Resize,
    Rounding,
    Size,
)

UNIT: Final = 1 / 255
_THREE_ZERO: Final = (0.0, 0.0, 0.0)
_THREE_ONE: Final = (1.0, 1.0, 1.0)


def spec(
    size: Size,
    *geometry: GeometryOp,
    channels: Channels = "rgb",
    scale: float = UNIT,
    mean: tuple[float, ...] = _THREE_ZERO,
    std: tuple[float, ...] = _THREE_ONE,
) -> ImageInput:
    """A colour input; float32 pixels where the resize is TensorFlow's."""
    return ImageInput(
        channels=channels,
        geometry=geometry,
        size=size,
        values="float32" if _is_tensorflow(geometry) else "uint8",
        scale=scale,
        mean=mean,
        std=std,
    )


def gray_spec(
    size: Size,
    *geometry: GeometryOp,
    gray: GrayFormula,
    scale: float = UNIT,
    mean: float = 0.0,
    std: float = 1.0,
) -> ImageInput:
    """A grey input."""
    return ImageInput(
        channels="gray",
        gray=gray,
        geometry=geometry,
        size=size,
        values="float32" if _is_tensorflow(geometry) else "uint8",
        scale=scale,
        mean=(mean,),
        std=(std,),
    )


def letterbox(
    size: Size,
    *,
    round: Rounding = "half_even",  # noqa: A002 - the contract's word
    filter: Filter = "opencv.linear",  # noqa: A002 - the contract's word
    value: tuple[int, ...] = (114, 114, 114),
) -> tuple[GeometryOp, ...]:
    """Contain, then a centred pad."""
    return (
        Resize(to="contain", size=size, round=round, filter=filter),
        Pad(size=size, value=value),
    )


def stretch(size: Size, name: Filter = "opencv.linear") -> Resize:
    """To the size itself."""
    return Resize(to="stretch", size=size, filter=name)


def bound(
    image: ImageInput,
    layout: Layout = "NHWC",
    dtype: DType = "float32",
    quant: Quant | None = None,
    *,
    in_file: bool = False,
) -> InputBinding:
    """The input tensor of one picture."""
    height, width = image.size
    count = image.channel_count
    shape = (1, count, height, width) if layout == "NCHW" else (1, height, width, count)
    return InputBinding(
        tensor="image",
        shape=shape,
        layout=layout,
        dtype=dtype,
        quant=quant,
        normalise_in_file=in_file,
    )


def with_size(image: ImageInput, size: Size) -> ImageInput:
    """The same input of another size than its geometry ends at."""
    return msgspec.structs.replace(image, size=size)


def _is_tensorflow(geometry: tuple[GeometryOp, ...]) -> bool:
    return any(isinstance(op, Resize) and op.filter.startswith("tensorflow.") for op in geometry)
