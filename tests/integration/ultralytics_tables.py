"""Small layer tables of our own that use every block of the families, and weights made by name.

The tables are no published model: each is as small as its blocks allow, with two levels. Weights
are a function of their names, so numbers recorded elsewhere hold wherever they are made again.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

Table = dict[str, object]

SIZE = (96, 128)
GAIN = 2.2
"""Spread of the convolutions: signals neither die out nor saturate over the depth of a table."""

_TOP: list[list[object]] = [
    [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
    [[-1, 3], 1, "Concat", [1]],
]


def _table(scale: list[float], name: str = "n", **more: object) -> Table:
    return {"nc": 5, "scales": {name: scale}, "scale": name, **more}


def _yolo11(scale: list[float], name: str) -> Table:
    return _table(
        scale,
        name,
        backbone=[
            [-1, 1, "Conv", [64, 3, 2]],
            [-1, 2, "C3k2", [128, False, 0.25]],
            [-1, 1, "Conv", [256, 3, 4]],
            [-1, 2, "C3k2", [512, True]],
            [-1, 1, "Conv", [1024, 3, 2]],
            [-1, 1, "SPPF", [1024, 5]],
            [-1, 4, "C2PSA", [1024]],
        ],
        head=[*_TOP, [-1, 4, "C3k2", [256, False]], [[9, 6], 1, "Detect", ["nc"]]],
    )


TABLES: dict[str, Table] = {
    "yolov5u": _table(
        [0.33, 0.25, 1024],
        backbone=[
            [-1, 1, "Focus", [64, 3]],
            [-1, 6, "C3", [64]],
            [-1, 1, "Conv", [128, 6, 4, 2]],
            [-1, 3, "C3", [128, False]],
            [-1, 1, "Conv", [256, 3, 2]],
            [-1, 1, "SPP", [256, [5, 9, 13]]],
        ],
        head=[*_TOP, [-1, 3, "C3", [128, False]], [[8, 5], 1, "Detect", ["nc"]]],
    ),
    "yolov8": _table(
        [0.33, 0.25, 1024],
        backbone=[
            [-1, 1, "Conv", [64, 3, 2]],
            [-1, 6, "C2f", [64, True]],
            [-1, 1, "Conv", [128, 3, 4]],
            [-1, 3, "C2f", [128, True]],
            [-1, 1, "Conv", [256, 3, 2]],
            [-1, 1, "SPPF", [256, 5]],
        ],
        head=[*_TOP, [-1, 3, "C2f", [128]], [[8, 5], 1, "Detect", ["nc"]]],
    ),
    "yolo11": _yolo11([0.5, 0.25, 1024], "n"),
    "yolo11_deep": _yolo11([0.5, 0.25, 512], "m"),
    "yolo11_cls": _table(
        [0.5, 0.25, 1024],
        backbone=[
            [-1, 1, "Conv", [64, 3, 4]],
            [-1, 2, "C3k2", [512, True]],
            [-1, 2, "C2PSA", [512]],
        ],
        head=[[-1, 1, "Classify", ["nc"]]],
    ),
    "yolov10": _table(
        [0.33, 0.25, 1024],
        backbone=[
            [-1, 1, "Conv", [64, 3, 2]],
            [-1, 3, "C2f", [64, True]],
            [-1, 1, "SCDown", [128, 3, 4]],
            [-1, 6, "C2fCIB", [256, True]],
            [-1, 1, "SCDown", [512, 3, 2]],
            [-1, 1, "SPPF", [512, 5]],
            [-1, 1, "PSA", [512]],
        ],
        head=[*_TOP, [-1, 3, "C2fCIB", [256, True, True]], [[9, 6], 1, "v10Detect", ["nc"]]],
    ),
    "yolo26": _table(
        [0.5, 0.25, 1024],
        end2end=True,
        reg_max=1,
        backbone=[
            [-1, 1, "Conv", [64, 3, 2]],
            [-1, 2, "C3k2", [128, False, 0.25]],
            [-1, 1, "Conv", [256, 3, 4]],
            [-1, 2, "C3k2", [512, True]],
            [-1, 1, "Conv", [512, 3, 2]],
            [-1, 1, "SPPF", [512, 5, 2, True]],
        ],
        head=[
            *_TOP,
            [-1, 1, "C3k2", [1024, True, 0.5, True]],
            [[8, 5], 1, "Detect", ["nc"]],
        ],
    ),
}


def weight(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The tensor called `name`: uniform values from the name's own digest.

    Variances lie in 0.5..1.5, scales of normalisation in 0.6..1.4, convolutions spread with one
    over the root of what they add up.
    """
    count = math.prod(shape)
    digest = hashlib.shake_256(name.encode()).digest(2 * count)
    uniform = np.frombuffer(digest, "<u2").astype(np.float64) / 65536
    kind = name.rpartition(".")[2]
    if kind == "running_var":
        values = 0.5 + uniform
    elif kind == "weight" and len(shape) == 1:
        values = 0.6 + 0.8 * uniform
    elif kind == "weight":
        # Attention must look at some places more than at others, or its scale would not matter.
        gain = 3 * GAIN if ".qkv." in name else GAIN
        values = (uniform - 0.5) * 2 * gain / math.sqrt(math.prod(shape[1:]))
    else:
        values = 0.5 * (uniform - 0.5)
    return values.astype(np.float32).reshape(shape)


def image(size: tuple[int, int] = SIZE) -> NDArray[np.float32]:
    """The input of the recorded outputs, float32 [1, 3, H, W] in 0..1."""
    digest = hashlib.shake_256(b"image").digest(3 * size[0] * size[1])
    pixels = np.frombuffer(digest, np.uint8).reshape(1, 3, *size)
    return pixels.astype(np.float32) / np.float32(255)
