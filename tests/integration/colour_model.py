"""A small classifier of colours that is right by construction, and pictures for it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image

from phoneproof.core.binding import Binding, InputBinding, OutputBinding
from phoneproof.core.contract import Contract, ImageInput, Pad, Resize
from phoneproof.core.dataset import ImageItem, ImageSet

SIDE = 32
SIZE = (SIDE, SIDE)
COLOURS = {"blue": (40, 60, 200), "green": (50, 180, 60), "red": (200, 50, 40)}
LABELS = tuple(COLOURS)
EDGES = 5
"""Filters that see fine detail, so that a wrong resize filter changes the outputs."""


def colour_classifier() -> ModelProto:
    """image [1, 3, 32, 32] (RGB 0..1) -> probabilities [1, 3]."""
    weights = _weights()
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["seen"], "stem", pads=[1] * 4),
        helper.make_node("Relu", ["seen"], ["active"], "act"),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["features"], "flat"),
        helper.make_node("Gemm", ["features", "dense", "bias"], ["logits"], "dense"),
        helper.make_node("Softmax", ["logits"], ["probabilities"], "softmax", axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *SIZE])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, len(LABELS)])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def _weights() -> dict[str, NDArray[np.float32]]:
    """Three channels pass colours on, the rest see edges; the nearest colour wins."""
    generator = np.random.default_rng(3)
    kernel = np.zeros((3 + EDGES, 3, 3, 3))
    for channel in range(3):
        kernel[channel, channel, 1, 1] = 1.0
    edges = generator.normal(size=(EDGES, 3, 3, 3))
    kernel[3:] = edges - edges.mean(axis=(2, 3), keepdims=True)
    colours = np.array(list(COLOURS.values())) / 255
    dense = np.concatenate([8 * colours.T, generator.normal(size=(EDGES, len(LABELS)))])
    bias = -4 * (colours**2).sum(axis=1)
    values = {"kernel": kernel, "dense": dense, "bias": bias}
    return {name: value.astype(np.float32) for name, value in values.items()}


def save_classifier(path: Path) -> Path:
    """Write the classifier."""
    onnx.save(colour_classifier(), path)
    return path


def picture(colour: str, seed: int) -> NDArray[np.uint8]:
    """A picture of mostly one colour with structure at several scales, of its own size."""
    generator = np.random.default_rng([seed, *COLOURS[colour]])
    height, width = (int(side) for side in generator.integers(48, 120, 2))
    total = np.zeros((height, width, 3))
    for cells, weight in ((3, 50.0), (12, 40.0), (40, 40.0)):
        noise = generator.uniform(-1, 1, (cells, cells, 3))
        total += weight * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(total + COLOURS[colour], 0, 255).round(), dtype=np.uint8)


def write_pictures(folder: Path, each: int = 4) -> Path:
    """A folder of PNG pictures per colour."""
    for label in LABELS:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            pixels = picture(label, number)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


def image_set(folder: Path) -> ImageSet:
    """The pictures of `write_pictures` with their labels."""
    items = [
        ImageItem(
            name=path.relative_to(folder).as_posix(),
            path=path,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            label=LABELS.index(path.parent.name),
        )
        for path in folder.rglob("*.png")
    ]
    return ImageSet(split="all", items=tuple(sorted(items, key=lambda item: item.sha256)))


def colour_input() -> ImageInput:
    """Letterboxed RGB / 255."""
    return ImageInput(
        geometry=(Resize(to="contain", size=SIZE), Pad(size=SIZE)),
        size=SIZE,
        scale=1 / 255,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )


def colour_contract(
    image: ImageInput | None = None, labels: tuple[str | None, ...] = LABELS
) -> Contract:
    """The classifier's contract, or one with another input or other labels."""
    return Contract(
        name="colours", task="classify", inputs=(image or colour_input(),), labels=labels
    )


def colour_binding(contract: Contract) -> Binding:
    """The binding of `colour_classifier`."""
    return Binding(
        contract=contract.sha256,
        format="onnx",
        inputs=(InputBinding(tensor="image", shape=(1, 3, *SIZE), layout="NCHW"),),
        outputs=(
            OutputBinding(
                tensor="probabilities", role="scores", shape=(1, len(LABELS)), axes=("class",)
            ),
        ),
    )
