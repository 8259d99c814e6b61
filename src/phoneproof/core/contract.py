"""The contract (schema ``phoneproof.contract/1``): what a model means, independent of any file.

How an image becomes the input tensor, and what the results are. Written once, it travels with
every artifact and is read by Python, Kotlin, Swift and the server alike.
"""

from __future__ import annotations

from typing import Literal

from phoneproof.core.json_format import content_hash
from phoneproof.core.schema import SchemaType

Size = tuple[int, int]
"""Height, width in pixels."""

Anchor = Literal["center", "top_left"]
Channels = Literal["rgb", "bgr", "gray"]
Task = Literal["classify", "detect", "raw"]
GrayFormula = Literal["pillow", "opencv", "tensorflow"]
Rounding = Literal["half_even", "floor", "ceil"]
Filter = Literal[
    "pillow.nearest",
    "pillow.box",
    "pillow.bilinear",
    "pillow.hamming",
    "pillow.bicubic",
    "pillow.lanczos",
    "opencv.nearest",
    "opencv.linear",
    "opencv.area",
    "opencv.cubic",
    "tensorflow.bilinear_half_pixel",
    "tensorflow.bilinear_legacy",
    "tensorflow.bilinear_align_corners",
]


class Crop(SchemaType, frozen=True, kw_only=True, tag_field="op", tag="crop"):
    """Cut a rectangle out; exactly one of `fraction`, `aspect`, `size` is given.

    fraction: both sides times this (0..1]. aspect: the largest rectangle of width / height equal
    to this. size: [height, width]; the image must be at least as large.
    `round` applies to the offset of a centred crop and, for fraction and aspect, to the sides.
    A centred fraction leaves out ``round((side - side * fraction) / 2)`` pixels at both ends and
    keeps the rest, as ``tf.image.central_crop`` (floor) does.
    """

    fraction: float | None = None
    aspect: float | None = None
    size: Size | None = None
    anchor: Anchor = "center"
    round: Literal["half_even", "floor"] = "half_even"

    def __post_init__(self) -> None:
        given = [v for v in (self.fraction, self.aspect, self.size) if v is not None]
        if len(given) != 1:
            raise ValueError("crop takes exactly one of fraction, aspect, size")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise ValueError("crop fraction must be in (0, 1]")
        if self.aspect is not None and not self.aspect > 0:
            raise ValueError("crop aspect must be positive")
        if self.size is not None:
            _check_size(self.size)


class Resize(SchemaType, frozen=True, kw_only=True, tag_field="op", tag="resize"):
    """Scale the image.

    contain: the largest size of the same shape inside `size`. cover: the smallest that covers
    it. stretch: `size` itself. `round` turns the float64 side lengths into integers (the side
    that fits exactly is exact). With `upscale` false an image that fits is left alone.
    """

    to: Literal["contain", "cover", "stretch"]
    size: Size
    round: Rounding = "half_even"
    upscale: bool = True
    filter: Filter = "opencv.linear"

    def __post_init__(self) -> None:
        _check_size(self.size)


class Pad(SchemaType, frozen=True, kw_only=True, tag_field="op", tag="pad"):
    """Fill up to `size` with `value` (0..255, in the order of the contract's `channels`).

    With a centred anchor and an odd number of missing pixels the spare one goes to the end
    (bottom, right).
    """

    size: Size
    anchor: Anchor = "center"
    spare: Literal["end"] = "end"
    value: tuple[int, ...] = (114, 114, 114)

    def __post_init__(self) -> None:
        _check_size(self.size)
        if any(not 0 <= v <= 255 for v in self.value):
            raise ValueError("pad value must be in 0..255")


GeometryOp = Crop | Resize | Pad


class ImageInput(SchemaType, frozen=True, kw_only=True):
    """How a picture becomes one input tensor.

    `values` uint8: after the geometry one 256-entry table per channel holds
    ``(p * scale - mean) / std`` in float64, rounded once to float32. float32: TensorFlow's
    resize gives floats; every multiply and add is a float32 operation in the written order.
    `mean`, `std` and pad values are in `channels` order; mean and std apply after scale.
    """

    name: str = "image"
    kind: Literal["image"] = "image"
    orientation: Literal["exif", "ignore"] = "exif"
    color_profile: Literal["as_stored", "srgb"] = "as_stored"
    alpha: Literal["drop"] | tuple[int, int, int] = "drop"
    channels: Channels = "rgb"
    gray: GrayFormula | None = None
    geometry: tuple[GeometryOp, ...]
    size: Size
    values: Literal["uint8", "float32"] = "uint8"
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def channel_count(self) -> int:
        """1 for gray, else 3."""
        return 1 if self.channels == "gray" else 3

    def __post_init__(self) -> None:
        _check_size(self.size)
        if (self.channels == "gray") != (self.gray is not None):
            raise ValueError("gray names its formula exactly when channels is gray")
        if sum(isinstance(op, Resize) for op in self.geometry) > 1:
            raise ValueError("geometry holds at most one resize")
        count = self.channel_count
        if len(self.mean) != count or len(self.std) != count:
            raise ValueError(f"mean and std take {count} value(s) for channels {self.channels}")
        if any(not value > 0 for value in (self.scale, *self.std)):
            raise ValueError("scale and std must be positive")
        for op in self.geometry:
            if isinstance(op, Pad) and len(op.value) != count:
                raise ValueError(f"pad value takes {count} number(s)")
            if isinstance(op, Resize):
                is_float = op.filter.startswith("tensorflow.")
                if is_float != (self.values == "float32"):
                    raise ValueError("values is float32 exactly when the filter is tensorflow.*")


class Nms(SchemaType, frozen=True, kw_only=True):
    """Greedy non-maximum suppression; IoU without +1."""

    iou: float = 0.45
    class_agnostic: bool = False
    pre_top_k: int = 30000
    max_detections: int = 300

    def __post_init__(self) -> None:
        if not 0 < self.iou <= 1:
            raise ValueError("nms iou must be in (0, 1]")
        if self.pre_top_k < 1 or self.max_detections < 1:
            raise ValueError("nms counts must be positive")


class Decode(SchemaType, frozen=True, kw_only=True):
    """What the app does with the outputs. `nms` null: the model's boxes are final."""

    confidence: float = 0.25
    multi_label: bool = False
    nms: Nms | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.confidence <= 1:
            raise ValueError("decode confidence must be in [0, 1]")


class Contract(SchemaType, frozen=True, kw_only=True):
    """What a model means. A null label is background or a gap in the ids."""

    schema: Literal["phoneproof.contract/1"] = "phoneproof.contract/1"
    name: str
    version: str = "1.0.0"
    task: Task
    inputs: tuple[ImageInput]
    labels: tuple[str | None, ...] = ()
    decode: Decode | None = None

    def __post_init__(self) -> None:
        if self.task == "detect" and self.decode is None:
            raise ValueError("a detect contract needs decode")

    @property
    def image(self) -> ImageInput:
        """The one image input."""
        return self.inputs[0]

    @property
    def sha256(self) -> str:
        """Hash of the canonical JSON."""
        return content_hash(self)

    def class_index(self, data_class: int) -> int:
        """Label index of the data set's class k: the k-th label that is not null.

        Raises:
            IndexError: the data set knows more classes than the contract has labels.
        """
        named = [i for i, label in enumerate(self.labels) if label is not None]
        return named[data_class]


def _check_size(size: Size) -> None:
    if min(size) < 1 or max(size) > 16384:
        raise ValueError("size is [height, width], each in 1..16384")
