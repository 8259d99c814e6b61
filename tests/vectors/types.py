"""The records of the vector files (schema ``phoneproof.vectors/1``), one file type an area."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import Binding, DType, InputBinding
from phoneproof.core.contract import Contract, Filter, GrayFormula, ImageInput, Size
from phoneproof.core.schema import SchemaType
from tests.vectors.pictures import Picture

HEAD = 24
"""First values of a tensor that are written out, so that a difference can be looked at."""

Schema = Literal["phoneproof.vectors/1"]
Flag = Literal[
    "bgr",
    "class_agnostic",
    "clipped",
    "crop",
    "downscale",
    "empty",
    "error",
    "exif",
    "exponentials",
    "extreme_aspect",
    "final",
    "float32_pixels",
    "gray",
    "identity",
    "integer_ratio",
    "interleaved",
    "large",
    "levels",
    "max_detections",
    "mixed",
    "multi_label",
    "normalise_in_file",
    "not_finite",
    "null_label",
    "odd_pad",
    "odd_sides",
    "one_channel",
    "one_pixel",
    "override",
    "pre_top_k",
    "quantised",
    "random",
    "row_padding",
    "threshold",
    "ties",
    "transparent",
    "upscale",
]


class Digest(SchemaType, frozen=True, kw_only=True):
    """A tensor by its hash: `sha256` of the row-major little-endian bytes, and the first values."""

    dtype: DType
    shape: tuple[int, ...]
    sha256: str
    head: tuple[int | float, ...]


class Case(SchemaType, frozen=True, kw_only=True, omit_defaults=True):
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


class CropRecord(SchemaType, frozen=True, kw_only=True, tag_field="op", tag="crop"):
    """Keep rows [top, top + height) and columns [left, left + width)."""

    top: int
    left: int
    height: int
    width: int


class ResizeRecord(SchemaType, frozen=True, kw_only=True, tag_field="op", tag="resize"):
    """Scale to height x width; the gains are what coordinates scale with."""

    height: int
    width: int
    gain_y: float
    gain_x: float
    filter: Filter


class PadRecord(SchemaType, frozen=True, kw_only=True, tag_field="op", tag="pad"):
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


class LumaLayout(SchemaType, frozen=True, kw_only=True):
    """How the Y plane lies in its bytes."""

    row_stride: int


class ChromaLayout(SchemaType, frozen=True, kw_only=True):
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


class OutputTensor(SchemaType, frozen=True, kw_only=True):
    """One output of a model, batch first: base64 of its row-major little-endian bytes."""

    tensor: str
    dtype: DType
    shape: tuple[int, ...]
    data: str


class RawTensor(SchemaType, frozen=True, kw_only=True):
    """One output of one image as real numbers, without the batch axis."""

    tensor: str
    dtype: Literal["float32"]
    shape: tuple[int, ...]
    data: str


class DetectionRow(SchemaType, frozen=True, kw_only=True):
    """One detection: label index, score, and the box in pixels of the oriented original."""

    class_: int = msgspec.field(name="class")
    score: float
    box: BoxValues


class ClassRow(SchemaType, frozen=True, kw_only=True):
    """One class: label index and probability."""

    class_: int = msgspec.field(name="class")
    score: float


class DecodeCase(Case, frozen=True, kw_only=True):
    """Outputs of image `index` of the batch, whose oriented original is height x width.

    One of the last four is there: `detections` best first, `classes` (every class with a label,
    most probable first, equal ones by index), `raw`, or `error` true where the outputs do not fit.
    """

    contract: Contract
    binding: Binding
    outputs: tuple[OutputTensor, ...]
    height: int
    width: int
    index: int = 0
    detections: tuple[DetectionRow, ...] | None = None
    classes: tuple[ClassRow, ...] | None = None
    raw: tuple[RawTensor, ...] | None = None
    error: bool = False


class ImageCase(Case, frozen=True, kw_only=True):
    """A whole chain: stored picture and EXIF tag, input tensor, recorded outputs, results."""

    contract: Contract
    binding: Binding
    picture: Picture
    exif: int
    tensor: Digest
    outputs: tuple[OutputTensor, ...]
    detections: tuple[DetectionRow, ...] | None = None
    classes: tuple[ClassRow, ...] | None = None


def digest(values: NDArray[Any]) -> Digest:
    """The hash and the head of a tensor of one of the dtypes of `DType`."""
    return Digest(
        dtype=dtype_of(values),
        shape=values.shape,
        sha256=hashlib.sha256(little_endian(values)).hexdigest(),
        head=tuple(values.reshape(-1)[:HEAD].tolist()),
    )


def dtype_of(values: NDArray[Any]) -> DType:
    """The contract's name of an array's dtype."""
    named: DType = msgspec.convert(values.dtype.name, DType)
    return named


def little_endian(values: NDArray[Any]) -> bytes:
    """Row-major bytes, least significant first."""
    return np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()
