"""A small float32 TFLite network with the parts that quantization treats apart, calibrated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from PIL import Image
from torch import Tensor

from phoneproof.core.artifact import file_sha256
from phoneproof.core.binding import Binding, InputBinding, OutputBinding
from phoneproof.core.contract import Contract, ImageInput
from phoneproof.core.json_format import pretty_bytes
from phoneproof.core.recipe import MethodRanges, Ranges, TensorRange
from phoneproof.formats.tflite import read_tflite
from phoneproof.formats.tflite_write import TfliteEdit, edit_tflite
from phoneproof.runtimes.backends.tflite_torch.module import Hook, TfliteModule
from tests.integration.tflite_files import TfliteFile

SIDE, WIDE, CLASSES = 16, 8, 5
CONTRACT = Contract(
    name="small",
    task="raw",
    inputs=(
        ImageInput(
            geometry=(), size=(SIDE, SIDE), scale=1 / 255, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
        ),
    ),
)
BINDING = Binding(
    contract=CONTRACT.sha256,
    format="tflite",
    inputs=(InputBinding(tensor="image", shape=(1, SIDE, SIDE, 3), layout="NHWC"),),
    outputs=(
        OutputBinding(tensor="scores", role="raw", shape=(1, CLASSES)),
        OutputBinding(tensor="map", role="raw", shape=(1, SIDE, SIDE, 2 * WIDE)),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """The network, its ``ranges.json`` (minimum and maximum) and the pictures it was run on."""

    file: Path
    ranges: Path
    images: tuple[Path, ...]


def calibrated(folder: Path, *, loud: float = 1.0, spoil: float | None = None) -> Calibrated:
    """Written into `folder`.

    Args:
        loud: factor on one channel of the stem's weights, which makes its range wide.
        spoil: a number that one weight of the second convolution is replaced with afterwards.
    """
    images = _pictures(folder)
    file = folder / "model.tflite"
    file.write_bytes(_network(loud, None))
    watch = _Watch()
    module = TfliteModule(read_tflite(file))
    with torch.no_grad():
        for path in images:
            module(_tensor(path), watch)
    if spoil is not None:
        file.write_bytes(_network(loud, spoil))
    found = tuple(
        TensorRange(tensor=name, low=low, high=high) for name, (low, high) in watch.seen.items()
    )
    one = MethodRanges(method="min_max", ranges=found)
    ranges = folder / "ranges.json"
    ranges.write_bytes(pretty_bytes(Ranges(artifact=file_sha256(file), methods=(one,))))
    return Calibrated(file=file, ranges=ranges, images=images)


def tensors(images: tuple[Path, ...]) -> list[Tensor]:
    """The pictures as the network takes them."""
    return [_tensor(path) for path in images]


def _tensor(path: Path) -> Tensor:
    return torch.from_numpy(np.asarray(Image.open(path).convert("RGB"), np.float32)[None] / 255)


def _network(loud: float, spoil: float | None) -> bytes:
    """SiLU stem -> two convolutions side by side -> concatenation (an output) -> pool -> scores."""
    random = np.random.default_rng(3)
    file = TfliteFile()

    def constant(*shape: int, scale: float) -> int:
        return file.const((random.standard_normal(shape) * scale).astype(np.float32))

    stem = (random.standard_normal((WIDE, 3, 3, 3)) * 0.3).astype(np.float32)
    stem[0] *= loud
    image = file.add((1, SIDE, SIDE, 3), name="image")
    shape = (1, SIDE, SIDE, WIDE)
    bias = constant(WIDE, scale=0.2)
    x = file.node("CONV_2D", (image, file.const(stem), bias), shape, options=_convolution())
    gate = file.node("LOGISTIC", (x,), shape)
    x = file.node("MUL", (x, gate), shape, options=schema.MulOptionsT())
    second = (random.standard_normal((WIDE, 3, 3, WIDE)) * 0.15).astype(np.float32)
    if spoil is not None:
        second[0, 0, 0, 0] = spoil
    left = file.node(
        "CONV_2D", (x, file.const(second), constant(WIDE, scale=0.1)), shape, options=_convolution()
    )
    options = _convolution(schema.DepthwiseConv2DOptionsT())
    options.depthMultiplier = 1
    inputs = x, constant(1, 3, 3, WIDE, scale=0.1), constant(WIDE, scale=0.05)
    right = file.node("DEPTHWISE_CONV_2D", inputs, shape, options=options)
    joined = schema.ConcatenationOptionsT()
    joined.axis = 3
    x = file.node("CONCATENATION", (left, right), (1, SIDE, SIDE, 2 * WIDE), options=joined)
    axes = file.const(np.array([1, 2], np.int32))
    pooled = file.node("MEAN", (x, axes), (1, 2 * WIDE), options=schema.ReducerOptionsT())
    inputs = pooled, constant(CLASSES, 2 * WIDE, scale=2.0), constant(CLASSES, scale=0.1)
    scores = file.node(
        "FULLY_CONNECTED", inputs, (1, CLASSES), options=schema.FullyConnectedOptionsT()
    )
    edit = TfliteEdit(inputs=("image",), outputs=("scores", "map"), metadata={}, plain_names=True)
    return edit_tflite(file.pack((image,), (scores, x)), edit, "network")


def _convolution(options: Any = None) -> Any:
    options = options or schema.Conv2DOptionsT()
    options.strideH = options.strideW = 1
    options.dilationHFactor = options.dilationWFactor = 1
    return options


def _pictures(folder: Path, count: int = 8) -> tuple[Path, ...]:
    random = np.random.default_rng(11)
    found = []
    for number in range(count):
        small = Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        path = folder / f"{number:02}.png"
        small.resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(path)
        found.append(path)
    return tuple(found)


class _Watch(Hook):
    def __init__(self) -> None:
        self.seen: dict[str, tuple[float, float]] = {}

    def made(self, tensor: str, values: Tensor) -> Tensor:
        low, high = self.seen.get(tensor, (0.0, 0.0))
        self.seen[tensor] = min(low, float(values.min())), max(high, float(values.max()))
        return values
