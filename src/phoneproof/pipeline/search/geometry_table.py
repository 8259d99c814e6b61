"""The usual ways to fit a picture into the input, and the usual filters, as data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import msgspec

from phoneproof.core.contract import (
    Crop,
    Filter,
    GeometryOp,
    ImageInput,
    Pad,
    Resize,
    Size,
    Task,
)
from phoneproof.core.presets import CENTRAL_FRACTION, LETTERBOX_GRAY

Geometry = tuple[GeometryOp, ...]

LARGER_CROP: Final = 0.95
"""The other common share of the short side that is kept, beside 224 of 256."""

FILTERS: Final[tuple[Filter, ...]] = (
    "pillow.bilinear",
    "pillow.bicubic",
    "opencv.linear",
    "opencv.area",
    "tensorflow.bilinear_half_pixel",
)

AS_IT_IS: Final = "stretched"
"""The geometry that leaves a picture of the input's size alone."""

_BLACK: Final = (0, 0, 0)


def geometries(task: Task, image: ImageInput) -> tuple[tuple[str, ImageInput], ...]:
    """Named alternatives, with the filter the image input has now.

    A detector's picture is never cropped: what is cut off cannot be found.
    """
    size, method = image.size, filter_of(image)
    found: list[tuple[str, Geometry]] = [
        (AS_IT_IS, (Resize(to="stretch", size=size, filter=method),))
    ]
    if task != "detect":
        found += _crops(size, method)
    found += _letterboxes(image, method)
    return tuple(
        (name, msgspec.structs.replace(image, geometry=geometry)) for name, geometry in found
    )


def _crops(size: Size, method: Filter) -> Iterator[tuple[str, Geometry]]:
    """Centre crops as torchvision and TensorFlow-slim do them."""
    for share in (CENTRAL_FRACTION, LARGER_CROP):
        around = (math.floor(size[0] / share), math.floor(size[1] / share))
        scaled = Resize(to="cover", size=around, round="floor", filter=method)
        yield f"centre crop {100 * share:g} % of the short side", (scaled, Crop(size=size))
    covering = Resize(to="cover", size=size, round="floor", filter=method)
    yield "centre crop of the short side", (covering, Crop(size=size))
    middle = Crop(fraction=CENTRAL_FRACTION, round="floor")
    stretched = Resize(to="stretch", size=size, filter=method)
    yield "central 87.5 % of both sides stretched", (middle, stretched)
    square = Crop(aspect=size[1] / size[0], round="floor")
    yield "central 87.5 % of the centred square", (square, middle, stretched)


def _letterboxes(image: ImageInput, method: Filter) -> Iterator[tuple[str, Geometry]]:
    """Ultralytics' centred and YOLOX' top-left letterbox, in gray and in black."""
    size, count = image.size, image.channel_count
    for shade, value in (("gray", LETTERBOX_GRAY), ("black", _BLACK)):
        color = value[:count]
        inside = Resize(to="contain", size=size, round="half_even", filter=method)
        yield f"letterbox centred {shade}", (inside, Pad(size=size, value=color))
        inside = Resize(to="contain", size=size, round="floor", filter=method)
        at_corner = Pad(size=size, anchor="top_left", value=color)
        yield f"letterbox top left {shade}", (inside, at_corner)


def geometry_name(task: Task, image: ImageInput) -> str:
    """The name of the image input's geometry, or its operations."""
    for name, other in geometries(task, image):
        if other.geometry == image.geometry:
            return name
    return " then ".join(_op_text(op) for op in image.geometry) or "as it is"


def _op_text(op: GeometryOp) -> str:
    words = [str(op.__struct_config__.tag)]
    for name in ("to", "fraction", "aspect", "size", "anchor"):
        value = getattr(op, name, None)
        if value is not None:
            words.append(f"{value[0]} x {value[1]}" if name == "size" else str(value))
    return " ".join(words)


def filter_of(image: ImageInput) -> Filter:
    """The resize filter; the usual one of the kind of values where nothing is resized."""
    for op in image.geometry:
        if isinstance(op, Resize):
            return op.filter
    return "pillow.bilinear" if image.values == "uint8" else "tensorflow.bilinear_half_pixel"


def with_filter(image: ImageInput, method: Filter) -> ImageInput:
    """The image input with another filter; its values are floats with TensorFlow's."""
    geometry = tuple(
        msgspec.structs.replace(op, filter=method) if isinstance(op, Resize) else op
        for op in image.geometry
    )
    is_float = method.startswith("tensorflow.")
    return msgspec.structs.replace(
        image, geometry=geometry, values="float32" if is_float else "uint8"
    )
