"""A small float32 TFLite network, its contract and ranges, for the repairs before rounding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from phoneproof.core.artifact import file_sha256
from phoneproof.core.binding import Binding, InputBinding, OutputBinding
from phoneproof.core.contract import Contract, ImageInput
from phoneproof.core.json_format import pretty_bytes
from phoneproof.core.recipe import MethodRanges, Ranges, Static, TensorRange
from phoneproof.formats.tflite import read_tflite
from phoneproof.formats.tflite_write import TfliteEdit, edit_tflite
from phoneproof.optimize.base import RepairRequest
from phoneproof.runtimes.backends.tflite_torch.module import Hook, TfliteModule
from tests.integration.tflite_files import TfliteFile

SIDE, CHANNELS, CLASSES = 16, 8, 5
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
    outputs=(OutputBinding(tensor="scores", role="raw", shape=(1, CLASSES)),),
)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Of a stem, a depthwise layer, a pointwise layer and a classifier. Biases are random."""

    stem: NDArray[np.float32]
    depthwise: NDArray[np.float32]
    pointwise: NDArray[np.float32]
    head: NDArray[np.float32]
    biases: tuple[NDArray[np.float32], ...]


def weights(seed: int = 3) -> Weights:
    """Ordinary weights: nothing to repair but what rounding always does."""
    random = np.random.default_rng(seed)

    def drawn(*shape: int) -> NDArray[np.float32]:
        fan = float(np.prod(shape[1:])) if shape[0] != 1 else float(shape[1] * shape[2])
        values: NDArray[np.float32] = random.standard_normal(shape).astype(np.float32)
        return values * np.float32(np.sqrt(2 / fan))

    sizes = (CHANNELS, CHANNELS, CHANNELS, CLASSES)
    return Weights(
        stem=drawn(CHANNELS, 3, 3, 3),
        depthwise=drawn(1, 3, 3, CHANNELS),
        pointwise=drawn(CHANNELS, 1, 1, CHANNELS),
        head=drawn(CLASSES, CHANNELS),
        biases=tuple((random.standard_normal(n) * 0.2).astype(np.float32) for n in sizes),
    )


def _convolution(*, depthwise: bool = False, activation: int = 1) -> Any:
    options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    options.strideH = options.strideW = 1
    options.dilationHFactor = options.dilationWFactor = 1
    options.fusedActivationFunction = activation
    if depthwise:
        options.depthMultiplier = 1
    return options


def network(values: Weights, *, activation: int = 1) -> bytes:
    """conv -> depthwise -> conv -> mean -> classifier; `activation`: fused into the first three
    (1 ReLU, 3 ReLU6).
    """
    file = TfliteFile()
    image = file.add((1, SIDE, SIDE, 3), name="image")
    constants = [file.const(one) for one in (values.stem, values.depthwise, values.pointwise)]
    biases = [file.const(one) for one in values.biases]
    shape = (1, SIDE, SIDE, CHANNELS)
    x = file.node(
        "CONV_2D",
        (image, constants[0], biases[0]),
        shape,
        options=_convolution(activation=activation),
    )
    x = file.node(
        "DEPTHWISE_CONV_2D",
        (x, constants[1], biases[1]),
        shape,
        options=_convolution(depthwise=True, activation=activation),
    )
    x = file.node(
        "CONV_2D", (x, constants[2], biases[2]), shape, options=_convolution(activation=activation)
    )
    axes = file.const(np.array([1, 2], np.int32))
    x = file.node("MEAN", (x, axes), (1, CHANNELS), options=schema.ReducerOptionsT())
    head = file.const(values.head)
    options = schema.FullyConnectedOptionsT()
    x = file.node("FULLY_CONNECTED", (x, head, biases[3]), (1, CLASSES), options=options)
    edit = TfliteEdit(
        inputs=("image",), outputs=("scores",), metadata={"note": b"kept"}, plain_names=True
    )
    return edit_tflite(file.pack((image,), (x,)), edit, "network")


def pictures(folder: Path, count: int = 16) -> tuple[Path, ...]:
    """Smooth coloured pictures with grain, all different."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(11)
    found = []
    for number in range(count):
        small = Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        smooth = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.int64)
        grain = random.integers(-20, 21, smooth.shape)
        path = folder / f"{number:02}.png"
        Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(path)
        found.append(path)
    return tuple(found)


class Watch(Hook):
    """Keeps what the graph makes."""

    def __init__(self) -> None:
        self.seen: dict[str, list[NDArray[np.float32]]] = {}

    def made(self, tensor: str, values: Tensor) -> Tensor:
        self.seen.setdefault(tensor, []).append(values.detach().numpy().copy())
        return values


def watched(file: Path, images: tuple[Path, ...]) -> dict[str, NDArray[np.float32]]:
    """Tensor -> its values on all images, stacked."""
    module, watch = TfliteModule(read_tflite(file)), Watch()
    with torch.no_grad():
        for path in images:
            pixels = np.asarray(Image.open(path).convert("RGB"), np.float32)[None] / 255
            module(torch.from_numpy(pixels), watch)
    return {name: np.concatenate(values) for name, values in watch.seen.items()}


def request(folder: Path, data: bytes, *, recipe: Static | None = None) -> RepairRequest:
    """A repair of `data`, calibrated by minimum and maximum, its output in `folder`."""
    images = pictures(folder / "images")
    artifact = folder / "model.tflite"
    artifact.write_bytes(data)
    ranges = folder / "ranges.json"
    found = tuple(
        TensorRange(tensor=name, low=float(values.min()), high=float(values.max()))
        for name, values in watched(artifact, images).items()
    )
    one = MethodRanges(method="min_max", ranges=found)
    ranges.write_bytes(pretty_bytes(Ranges(artifact=file_sha256(artifact), methods=(one,))))
    output = folder / "output"
    output.mkdir()
    return RepairRequest(
        artifact=artifact,
        contract=CONTRACT,
        binding=BINDING,
        recipe=recipe or Static(),
        ranges=ranges,
        images=images,
        seconds=60.0,
        output=output,
    )
