"""The binding (schema ``phoneproof.binding/1``): how one file's tensors carry the contract.

Axes name a tensor's dimensions after the leading batch dimension. What boxes mean is given by
the pair (`anchors`, `box.format`); `t` is the tensor's value, `cell` the integer grid position:

=============  ========  =====================================================================
anchors        format    meaning
=============  ========  =====================================================================
null           xyxy ...  the coordinates themselves, in `units`
grid           ltrb      distances from ``(cell + offset) * stride``, in strides (YOLOv8)
grid           cxcywh    ``(cell + offset + t) * stride``, sides ``exp(t) * stride`` (YOLOX)
yolo_anchor    cxcywh    ``(2t - .5 + cell) * stride``, sides ``(2t)^2 * wh`` (YOLOv5, t sigmoid)
priors         ssd       ``prior + t * variance * side``, sides ``exp(t * variance) * side``
=============  ========  =====================================================================

Anchors are ordered by level (stride), then anchor shape, row, column; priors by level, then row,
column, anchor shape, as the codes that make them list them.

A file that suppresses by itself (`nms_in_file`) may give each detection the number of its class
(role ``classes``) and one score instead of a row of scores, and how many detections count (role
``count``). The six columns of an end-to-end export are three roles that slice one tensor. Where a
shape holds -1 the tensor has as many rows as there are detections, and is of one image: it has no
batch dimension (Core ML's pipelines with NMS).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from phoneproof.core.contract import Decode
from phoneproof.core.schema import SchemaType

Format = Literal["hub", "onnx", "tflite", "saved_model", "coreml", "coreai"]
Layout = Literal["NCHW", "NHWC"]
DType = Literal["float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool"]
Precision = Literal[
    "float32",
    "float16",
    "dynamic_wi8",
    "weight_only_wi8",
    "weight_only_wi4",
    "palette4",
    "palette6",
    "static_wi8_ai8",
    "static_wi8_ai16",
    "mixed",
    "sparse",
]
Role = Literal[
    "boxes",
    "scores",
    "objectness",
    "classes",
    "count",
    "dfl",
    "keypoints",
    "heatmap",
    "mask",
    "raw",
]
Axis = Literal["anchor", "coord", "class", "y", "x", "bin", "channel"]
Activation = Literal["none", "sigmoid", "softmax"]


class Quant(SchemaType, frozen=True, kw_only=True):
    """Per-tensor affine quantization: real = (q - zero_point) * scale."""

    scale: float
    zero_point: int


class Box(SchemaType, frozen=True, kw_only=True):
    """How four numbers mean a rectangle (see the table above).

    order: "yx" where each pair of `cxcywh`, `ltrb` or `ssd` is the other way round (cy, cx, h,
    w); corners say so by their format (`yxyx`). variances: of x, y, width and height, whatever
    the order; null is four times 1.
    """

    format: Literal["xyxy", "yxyx", "cxcywh", "ltrb", "ssd"]
    units: Literal["pixels", "fraction", "stride"] = "pixels"
    variances: tuple[float, float, float, float] | None = None
    order: Literal["xy", "yx"] = "xy"


class GridAnchors(SchemaType, frozen=True, kw_only=True, tag_field="kind", tag="grid"):
    """One anchor a cell of each level's grid."""

    strides: tuple[int, ...]
    offset: float = 0.5


class YoloAnchors(SchemaType, frozen=True, kw_only=True, tag_field="kind", tag="yolo_anchor"):
    """YOLOv5 anchors: for each stride a list of widths and heights in pixels."""

    strides: tuple[int, ...]
    wh: tuple[tuple[tuple[float, float], ...], ...]


class PriorAnchors(SchemaType, frozen=True, kw_only=True, tag_field="kind", tag="priors"):
    """SSD priors, inline: a binding inside a model file has no file beside it.

    data: base64 (RFC 4648, padded) of `count` rows cx, cy, w, h, little-endian float32, in the
    units of the boxes (`fraction`, rarely `pixels`). `phoneproof.decode.priors` packs and reads.
    """

    count: int
    data: str


Anchors = GridAnchors | YoloAnchors | PriorAnchors


class InputBinding(SchemaType, frozen=True, kw_only=True):
    """One input tensor. `normalise_in_file`: scale, mean and std are inside the model."""

    for_: str = msgspec.field(name="for", default="image")
    tensor: str
    shape: tuple[int, ...]
    layout: Layout
    dtype: DType = "float32"
    quant: Quant | None = None
    normalise_in_file: bool = False


class OutputBinding(SchemaType, frozen=True, kw_only=True):
    """One role carried by one output tensor or by a slice of it.

    `slice` is [first, end) along the `coord`, `class` or `channel` axis. Several roles may share
    a tensor. packed: how many anchors of a cell lie one after the other along that axis (YOLOv5's
    3 * (5 + C) channels); `slice` is then within the values of one. class_offset: for `classes`,
    what is added to the file's number to get the label's index (1 where label 0 is background
    that the file does not count).
    """

    tensor: str
    role: Role
    shape: tuple[int, ...]
    axes: tuple[Axis, ...] = ()
    level: int | None = None
    slice: tuple[int, int] | None = None
    packed: int = 1
    class_offset: int = 0
    dtype: DType = "float32"
    quant: Quant | None = None
    activation: Activation = "none"
    box: Box | None = None


class Binding(SchemaType, frozen=True, kw_only=True):
    """How one artifact carries the contract. Inside the file `artifact` is null."""

    schema: Literal["phoneproof.binding/1"] = "phoneproof.binding/1"
    artifact: str | None = None
    contract: str
    format: Format
    precision: Precision = "float32"
    batch: int = 1
    inputs: tuple[InputBinding]
    outputs: tuple[OutputBinding, ...]
    anchors: Anchors | None = None
    nms_in_file: bool = False
    decode_override: Decode | None = None

    @property
    def image(self) -> InputBinding:
        """The one image input."""
        return self.inputs[0]

    @property
    def rows_vary(self) -> bool:
        """Whether the file gives what the app shows, in as many rows as that is."""
        return self.nms_in_file and any(-1 in output.shape for output in self.outputs)

    @property
    def own_confidence(self) -> float | None:
        """The threshold of this file alone; null where the contract's holds."""
        return None if self.decode_override is None else self.decode_override.confidence

    @property
    def tensors(self) -> tuple[str, ...]:
        """Output tensor names, each once, in order."""
        return tuple(dict.fromkeys(output.tensor for output in self.outputs))
