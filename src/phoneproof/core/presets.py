"""Presets: how the frameworks feed their models, written out as a contract's image input.

Each preset is a function of the input size [height, width] whose docstring names its source.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from phoneproof.core.contract import (
    Channels,
    Crop,
    Decode,
    Filter,
    GeometryOp,
    ImageInput,
    Nms,
    Pad,
    Resize,
    Size,
)
from phoneproof.core.errors import ConfigError, nearest

_Three = tuple[float, float, float]
_ZERO: _Three = (0.0, 0.0, 0.0)
_ONE: _Three = (1.0, 1.0, 1.0)

IMAGENET_MEAN: _Three = (0.485, 0.456, 0.406)
IMAGENET_STD: _Three = (0.229, 0.224, 0.225)
"""Mean and deviation of ImageNet's training pixels / 255 in RGB order, as torchvision's reference
training and Keras' `mode="torch"` use them."""

CAFFE_MEAN_BGR: _Three = (103.939, 116.779, 123.68)
"""Mean of ImageNet's training pixels (0..255) in BGR order, as VGG's Caffe models use them."""

CENTRAL_FRACTION = 0.875
"""The middle part of a picture that is looked at: 224 of 256, also slim's `central_crop`."""

LETTERBOX_GRAY = (114, 114, 114)


def preset_input(name: str, size: Size) -> ImageInput:
    """The image input a preset stands for.

    Args:
        name: one of `PRESETS`.
        size: [height, width] of the model's input.

    Raises:
        ConfigError: unknown name; the message names the nearest.
    """
    _check(name)
    return _INPUTS[name](size)


def preset_decode(name: str) -> Decode | None:
    """What the framework's own predictor does with a detector's outputs; None for classifiers.

    Ultralytics: confidence .25, IoU .7, class-aware, at most 300 (the defaults of `predict`). Its
    end-to-end heads: the same confidence; every class of a box counts, no NMS, the best 300.
    YOLOv5: confidence .25, IoU .45, class-aware, at most 1000 (the defaults of `detect.py`).
    YOLOX: score .3, IoU .45, class-aware (the defaults of its ONNX Runtime demo).

    Raises:
        ConfigError: unknown name; the message names the nearest.
    """
    _check(name)
    return _DECODES.get(name)


def _check(name: str) -> None:
    if name in _INPUTS:
        return
    near = nearest(name, PRESETS)
    raise ConfigError(
        f"unknown preset {name!r}",
        found=f"known: {', '.join(PRESETS)}",
        next_step=f"did you mean {near!r}?" if near else "take one of the known names",
    )


def _ultralytics_detect(size: Size) -> ImageInput:
    """Ultralytics' LetterBox with a fixed size (rect off, scaleup on), then RGB / 255.

    ``r = min(H / h, W / w)``; sides rounded half to even; centred, the spare pixel at the end;
    grey 114; cv2.INTER_LINEAR. YOLOv5's `letterbox` with `auto` off does the same.
    """
    return _input(size, _letterbox(size, "center"), scale=1 / 255)


def _ultralytics_classify(size: Size) -> ImageInput:
    """Ultralytics' classify_transforms at inference (8.3, 8.4), then RGB / 255, mean 0, std 1.

    torchvision's Resize and CenterCrop on a Pillow picture with BILINEAR, which in Pillow is
    antialiased: a square input resizes the short side, another stretches (Resize of two numbers).
    """
    return _input(size, _short_side(size, size), scale=1 / 255)


def _yolox(size: Size) -> ImageInput:
    """YOLOX's `preproc` (legacy off): BGR, 0..255.

    Sides cut off with `int`, the picture at the top left, grey 114, cv2.INTER_LINEAR. YOLOX also
    multiplies the side that fits by the rounded ratio, which loses a pixel of it for a few
    sizes; the contract keeps that side exact.
    """
    return _input(size, _letterbox(size, "top_left"), channels="bgr", scale=1.0)


def _torchvision_imagenet(size: Size) -> ImageInput:
    """torchvision's ImageClassification(crop_size=224, resize_size=256), Pillow bilinear.

    The short side becomes the size / .875 (224: 256), the middle is kept; ImageNet mean and std.
    """
    around = (_floor_div(size[0]), _floor_div(size[1]))
    geometry = _short_side(around, size)
    return _input(size, geometry, scale=1 / 255, mean=IMAGENET_MEAN, std=IMAGENET_STD)


def _keras_tf(size: Size) -> ImageInput:
    """Keras' preprocess_input(mode="tf"): ``x / 127.5 - 1``.

    Geometry of Keras' image_dataset_from_directory: stretched, bilinear with half-pixel centres,
    no antialiasing.
    """
    return _input(size, _stretch(size), floats=True, scale=1 / 127.5, mean=_ONE)


def _keras_caffe(size: Size) -> ImageInput:
    """Keras' preprocess_input(mode="caffe"): BGR, mean subtracted, not scaled.

    Geometry as `keras.tf`.
    """
    return _input(size, _stretch(size), floats=True, channels="bgr", scale=1.0, mean=CAFFE_MEAN_BGR)


def _keras_torch(size: Size) -> ImageInput:
    """Keras' preprocess_input(mode="torch"): ``x / 255``, ImageNet mean and std.

    Geometry as `keras.tf`.
    """
    return _input(
        size, _stretch(size), floats=True, scale=1 / 255, mean=IMAGENET_MEAN, std=IMAGENET_STD
    )


def _slim_inception(size: Size) -> ImageInput:
    """TF-slim's inception preprocess_for_eval: central_crop(.875), then stretched, to [-1, 1].

    slim calls ``tf.image.resize_bilinear(align_corners=False)`` of TensorFlow 1, which takes its
    samples at ``x * in / out`` without half-pixel centres: `tensorflow.bilinear_legacy`. Then
    ``(x / 255 - .5) * 2``.
    """
    geometry: tuple[GeometryOp, ...] = (
        Crop(fraction=CENTRAL_FRACTION, round="floor"),
        *_stretch(size, "tensorflow.bilinear_legacy"),
    )
    half = (0.5, 0.5, 0.5)
    return _input(size, geometry, floats=True, scale=1 / 255, mean=half, std=half)


def _input(
    size: Size,
    geometry: tuple[GeometryOp, ...],
    *,
    scale: float,
    mean: _Three = _ZERO,
    std: _Three = _ONE,
    channels: Channels = "rgb",
    floats: bool = False,
) -> ImageInput:
    return ImageInput(
        channels=channels,
        geometry=geometry,
        size=size,
        values="float32" if floats else "uint8",
        scale=scale,
        mean=mean,
        std=std,
    )


def _letterbox(size: Size, anchor: str) -> tuple[GeometryOp, ...]:
    if anchor == "top_left":
        return (
            Resize(to="contain", size=size, round="floor", filter="opencv.linear"),
            Pad(size=size, anchor="top_left", value=LETTERBOX_GRAY),
        )
    return (
        Resize(to="contain", size=size, round="half_even", filter="opencv.linear"),
        Pad(size=size, anchor="center", value=LETTERBOX_GRAY),
    )


def _short_side(around: Size, size: Size) -> tuple[GeometryOp, ...]:
    square = around[0] == around[1]
    return (
        Resize(
            to="cover" if square else "stretch",
            size=around,
            round="floor",
            filter="pillow.bilinear",
        ),
        Crop(size=size, anchor="center", round="half_even"),
    )


def _stretch(
    size: Size, filter_name: Filter = "tensorflow.bilinear_half_pixel"
) -> tuple[GeometryOp, ...]:
    return (Resize(to="stretch", size=size, filter=filter_name),)


def _floor_div(side: int) -> int:
    return math.floor(side / CENTRAL_FRACTION)


_INPUTS: Mapping[str, Callable[[Size], ImageInput]] = MappingProxyType(
    {
        "ultralytics.detect": _ultralytics_detect,
        "ultralytics.detect_end2end": _ultralytics_detect,
        "ultralytics.classify": _ultralytics_classify,
        "yolov5": _ultralytics_detect,
        "yolox": _yolox,
        "torchvision.imagenet": _torchvision_imagenet,
        "keras.tf": _keras_tf,
        "keras.caffe": _keras_caffe,
        "keras.torch": _keras_torch,
        "slim.inception": _slim_inception,
    }
)

_DECODES: Mapping[str, Decode] = MappingProxyType(
    {
        "ultralytics.detect": Decode(confidence=0.25, nms=Nms(iou=0.7, max_detections=300)),
        "ultralytics.detect_end2end": Decode(confidence=0.25, multi_label=True, nms=None),
        "yolov5": Decode(confidence=0.25, nms=Nms(iou=0.45, max_detections=1000)),
        "yolox": Decode(confidence=0.3, nms=Nms(iou=0.45, max_detections=300)),
    }
)

PRESETS: tuple[str, ...] = tuple(_INPUTS)
"""Names of all presets."""
