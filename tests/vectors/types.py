"""The records of the vector files (schema ``phoneproof.vectors/1``), one file type an area."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import InputBinding
from phoneproof.core.contract import Filter, GrayFormula, ImageInput, Size
from tests.vectors.pictures import Picture

HEAD = 24
"""First values of a tensor that are written out, so that a difference can be looked at."""

DType = Literal["uint8", "int8", "int16", "float16", "float32"]
Schema = Literal["phoneproof.vectors/1"]
SCHEMA: Schema = "phoneproof.vectors/1"
Flag = Literal[
    "align_corners",
    "bgr",
    "crop",
    "downscale",
    "error",
    "extreme_aspect",
    "float32_pixels",
    "gray",
    "identity",
    "integer_ratio",
    "large",
    "mixed",
    "normalise_in_file",
    "odd_pad",
    "one_channel",
    "interleaved",
    "odd_sides",
    "one_pixel",
    "quantised",
    "random",
    "row_padding",
    "upscale",
]


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor by its hash: `sha256` of the row-major little-endian bytes, and the first values."""

    dtype: DType
    shape: tuple[int, ...]
    sha256: str
    head: tuple[int | float, ...]


class Inline(msgspec.Struct, frozen=True, kw_only=True):
    """A small tensor itself: base64 of its row-major little-endian bytes."""

    dtype: DType
    shape: tuple[int, ...]
    data: str


class Case(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every case has. flags: what it probes."""

    id: str
    comment: str
    flags: tuple[Flag, ...]


class ResizeCase(Case, frozen=True, kw_only=True):
    """One filter, one size. expected: [height, width, channels]."""

    picture: Picture
    filter: Filter
    size: Size
    expected: Digest


class CropRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="crop"):
    """Keep rows [top, top + height) and columns [left, left + width)."""

    top: int
    left: int
    height: int
    width: int


class ResizeRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="resize"):
    """Scale to height x width; the gains are what coordinates scale with."""

    height: int
    width: int
    gain_y: float
    gain_x: float
    filter: Filter


class PadRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="pad"):
    """Place the picture at (top, left) of a height x width canvas."""

    top: int
    left: int
    height: int
    width: int
    value: tuple[int, ...]


class GeometryCase(Case, frozen=True, kw_only=True):
    """Whole numbers of one picture size. With `error` true the plan is refused, and none is here.

    `input` fits the published schema even where the plan is refused.
    """

    input: ImageInput
    height: int
    width: int
    steps: tuple[CropRecord | ResizeRecord | PadRecord, ...] | None = None
    size: Size | None = None
    gain_y: float | None = None
    gain_x: float | None = None
    top: float | None = None
    left: float | None = None
    error: bool = False


class TensorCase(Case, frozen=True, kw_only=True):
    """A picture to the whole input tensor, batch 1 in front."""

    input: ImageInput
    binding: InputBinding
    picture: Picture
    expected: Digest


Background = Literal["drop"] | tuple[int, int, int]
BoxValues = tuple[float, float, float, float]
"""x1, y1, x2, y2: float32 values, written so that reading them gives the same bits."""


class TableCase(Case, frozen=True, kw_only=True):
    """expected: [channels, 256]. With `error` true the binding is refused."""

    input: ImageInput
    binding: InputBinding
    expected: Digest | None = None
    error: bool = False


class GrayCase(Case, frozen=True, kw_only=True):
    """expected: uint8 [height, width, 1]."""

    formula: GrayFormula
    picture: Picture
    expected: Digest


class AlphaCase(Case, frozen=True, kw_only=True):
    """A picture of red, green, blue and opacity. expected: uint8 [height, width, 3]."""

    picture: Picture
    background: Background
    expected: Digest


class OrientationCase(Case, frozen=True, kw_only=True):
    """A stored picture and the EXIF tag beside it. expected: the upright picture."""

    picture: Picture
    exif: int
    expected: Digest


class LumaLayout(msgspec.Struct, frozen=True, kw_only=True):
    """How the Y plane lies in its bytes."""

    row_stride: int


class ChromaLayout(msgspec.Struct, frozen=True, kw_only=True):
    """How U and V lie in theirs. order: which begins where both are one buffer (pixel_stride 2)."""

    pixel_stride: Literal[1, 2]
    row_stride: int
    order: Literal["uv", "vu"]


class YuvCase(Case, frozen=True, kw_only=True):
    """A camera frame of noise. expected: uint8 [height, width, 3], RGB.

    Y is noise(seed), U noise(seed + 1), V noise(seed + 2); with pixel_stride 2 the buffer of both
    is noise(seed + 1). Each plane ends with its last value.
    """

    height: int
    width: int
    seed: int
    y: LumaLayout
    chroma: ChromaLayout
    expected: Digest


class InverseCase(Case, frozen=True, kw_only=True):
    """Boxes in tensor pixels, and in pixels of an original of height x width."""

    input: ImageInput
    height: int
    width: int
    boxes: tuple[BoxValues, ...]
    expected: tuple[BoxValues, ...]


def digest(values: NDArray[Any]) -> Digest:
    """The hash and the head of a tensor of one of the dtypes of `DType`."""
    return Digest(
        dtype=msgspec.convert(values.dtype.name, DType),
        shape=values.shape,
        sha256=hashlib.sha256(_little_endian(values)).hexdigest(),
        head=tuple(values.reshape(-1)[:HEAD].tolist()),
    )


def inline(values: NDArray[Any]) -> Inline:
    """A tensor itself."""
    return Inline(
        dtype=msgspec.convert(values.dtype.name, DType),
        shape=values.shape,
        data=base64.b64encode(_little_endian(values)).decode(),
    )


def _little_endian(values: NDArray[Any]) -> bytes:
    return np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()
