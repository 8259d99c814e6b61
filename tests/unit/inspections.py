"""Inspections as the sources give them, for tests of what follows from them."""

from __future__ import annotations

import msgspec

from phoneproof.core.binding import Box, GridAnchors, OutputBinding
from phoneproof.core.capture import Evidence, Finding, Head, Inspection
from phoneproof.core.contract import Size
from phoneproof.core.tensors import TensorSpec


def spec(name: str, *shape: int) -> TensorSpec:
    """A float32 tensor."""
    return TensorSpec(name=name, shape=shape, dtype="float32")


def classifier(classes: int, *, side: int = 224, channels: int = 3) -> Inspection:
    """An ONNX classifier, channels first, of which the file says nothing else."""
    scores = OutputBinding(tensor="p", role="scores", shape=(1, classes), axes=("class",))
    return Inspection(
        format="onnx",
        sha256="0" * 64,
        bytes=123,
        inputs=(spec("x", 1, channels, side, side),),
        outputs=(spec("p", 1, classes),),
        layout="NCHW",
        channels=channels,
        size=(side, side),
        task="classify",
        head=Head(outputs=(scores,)),
        evidence=Evidence(framework="onnx"),
    )


def keras(classes: int, *, side: int = 224, family: str = "") -> Inspection:
    """A Keras classifier, channels last, batch open."""
    return msgspec.structs.replace(
        classifier(classes, side=side),
        format="keras_h5",
        inputs=(spec("x", -1, side, side, 3),),
        layout="NHWC",
        evidence=Evidence(framework="keras 2.2", family=family),
    )


def yolox(classes: int = 3, size: Size = (64, 64)) -> Inspection:
    """A YOLOX with its grid left to the app."""
    anchors = sum((size[0] // s) * (size[1] // s) for s in (8, 16, 32))
    shape = (1, anchors, 5 + classes)
    outputs = (
        OutputBinding(
            tensor="o",
            role="boxes",
            shape=shape,
            axes=("anchor", "coord"),
            slice=(0, 4),
            box=Box(format="cxcywh", units="stride"),
        ),
        OutputBinding(
            tensor="o", role="objectness", shape=shape, axes=("anchor", "coord"), slice=(4, 5)
        ),
        OutputBinding(
            tensor="o",
            role="scores",
            shape=shape,
            axes=("anchor", "class"),
            slice=(5, 5 + classes),
        ),
    )
    return msgspec.structs.replace(
        classifier(2),
        inputs=(spec("x", 1, 3, *size),),
        outputs=(spec("o", *shape),),
        size=size,
        task="detect",
        head=Head(outputs=outputs, anchors=GridAnchors(strides=(8, 16, 32), offset=0.0)),
        preset="yolox",
        evidence=Evidence(framework="onnx", family="yolox"),
        findings=(
            Finding(key="contract.task", value="detect", reason="cells of strides 8, 16, 32"),
            Finding(key="contract.preset", value="yolox", reason="the head is YOLOX's own"),
        ),
    )


def pairs(priors: int, classes: int, size: Size) -> Inspection:
    """Decoded boxes beside softmax scores, as SSDs leave them."""
    boxes = OutputBinding(
        tensor="b",
        role="boxes",
        shape=(1, priors, 4),
        axes=("anchor", "coord"),
        box=Box(format="xyxy", units="fraction"),
    )
    scores = OutputBinding(
        tensor="s", role="scores", shape=(1, priors, classes), axes=("anchor", "class")
    )
    return msgspec.structs.replace(
        classifier(2),
        inputs=(spec("x", 1, 3, *size),),
        outputs=(spec("s", 1, priors, classes), spec("b", 1, priors, 4)),
        size=size,
        task="detect",
        head=Head(outputs=(scores, boxes)),
        evidence=Evidence(framework="onnx", family="ssd"),
    )


def unknown(*shape: int) -> Inspection:
    """Outputs that no recogniser knew."""
    raw = OutputBinding(tensor="heat", role="raw", shape=shape)
    return msgspec.structs.replace(
        classifier(2), outputs=(spec("heat", *shape),), task="raw", head=Head(outputs=(raw,))
    )
