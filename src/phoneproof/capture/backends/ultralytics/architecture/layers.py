"""What a row of a layer table stands for, one type a block; shapes are already scaled.

Blocks and where they come from: CSP bottlenecks, SPPF, Focus and the anchor head (YOLOv5), C2f and
the decoupled head (YOLOv8), C3k2 and C2PSA (YOLO11, YOLO26), SCDown, CIB, PSA and the one-to-one
head (Wang et al. 2024, "YOLOv10: Real-Time End-to-End Object Detection").
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvLayer:
    """Convolution, batch normalisation, activation; `padding` None keeps the size at stride 1."""

    c_in: int
    c_out: int
    kernel: int
    stride: int
    padding: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FocusLayer:
    """Every second pixel of every second row as a channel group, then a convolution."""

    c_in: int
    c_out: int
    kernel: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ScDownLayer:
    """A 1x1 convolution, then a depthwise one that shrinks."""

    c_in: int
    c_out: int
    kernel: int
    stride: int


@dataclass(frozen=True, kw_only=True, slots=True)
class C3Layer:
    """Two 1x1 branches, one through `repeats` bottlenecks, joined by a third."""

    c_in: int
    c_out: int
    repeats: int
    shortcut: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class C2fLayer:
    """Cross-stage block with `repeats` bottlenecks, all of whose outputs are concatenated."""

    c_in: int
    c_out: int
    repeats: int
    shortcut: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class C3k2Layer:
    """A C2f of `hidden` channels whose links are bottlenecks, small C3 blocks or attention."""

    c_in: int
    c_out: int
    hidden: int
    repeats: int
    shortcut: bool
    nested: bool
    attention: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class C2fCibLayer:
    """A C2f whose links are compact inverted blocks, with a 7x7 kernel where `large`."""

    c_in: int
    c_out: int
    repeats: int
    shortcut: bool
    large: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PsaLayer:
    """Partial self-attention: one block behind half of the channels (YOLOv10)."""

    channels: int


@dataclass(frozen=True, kw_only=True, slots=True)
class C2PsaLayer:
    """Partial self-attention with `repeats` blocks (YOLO11)."""

    channels: int
    repeats: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SppLayer:
    """Max poolings of several sizes side by side, concatenated with their input."""

    c_in: int
    c_out: int
    kernels: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SppfLayer:
    """`poolings` equal max poolings in a row, concatenated with their input.

    linear: the first convolution has no activation.
    """

    c_in: int
    c_out: int
    kernel: int
    poolings: int = 3
    shortcut: bool = False
    linear: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class UpsampleLayer:
    """Nearest-neighbour enlargement by a whole factor."""

    factor: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ConcatLayer:
    """Concatenation along the channels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectLayer:
    """Decoupled, anchor-free head over levels of `channels` at `strides`.

    bins: of the distance distribution of each side; 1 means the distance itself. depthwise: the
    class branch is made of depthwise convolutions (YOLOv10 and later). end_to_end: trained with
    one box an object, by branches of their own, so that no NMS follows.
    """

    classes: int
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    bins: int = 16
    depthwise: bool = False
    end_to_end: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AnchorDetectLayer:
    """YOLOv5's head: `anchors` boxes a cell, each with objectness and class scores."""

    classes: int
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    anchors: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifyLayer:
    """Convolution, global average pooling, linear layer, softmax."""

    c_in: int
    classes: int


ChainLayer = C3Layer | C2fLayer | C3k2Layer | C2fCibLayer | C2PsaLayer
"""Layers of several repeated blocks."""

DetectorLayer = DetectLayer | AnchorDetectLayer
HeadLayer = DetectorLayer | ClassifyLayer

Layer = (
    ConvLayer
    | FocusLayer
    | ScDownLayer
    | ChainLayer
    | PsaLayer
    | SppLayer
    | SppfLayer
    | UpsampleLayer
    | ConcatLayer
    | HeadLayer
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One layer and the rows it reads (-1 for row 0: the image)."""

    sources: tuple[int, ...]
    layer: Layer


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """All rows; the last is the head."""

    rows: tuple[Row, ...]
    classes: int
    channels: int

    @property
    def head(self) -> HeadLayer:
        """The last row's layer."""
        layer = self.rows[-1].layer
        assert isinstance(layer, HeadLayer)  # parse_architecture made sure
        return layer

    @property
    def head_name(self) -> str:
        """The head's place in the checkpoint's module tree."""
        return f"model.{len(self.rows) - 1}"

    @property
    def step(self) -> int:
        """What both sides of an image must be a multiple of."""
        return 1 if isinstance(self.head, ClassifyLayer) else max(self.head.strides)
