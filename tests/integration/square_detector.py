"""A small detector of coloured squares that is right by construction, and pictures for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto
from PIL import Image

from tests.integration.onnx_heads import Graph

SIDE, STRIDE, SQUARE = 256, 16, 24
CELLS = SIDE // STRIDE
LABELS = ("red", "blue")
STEEP, MIDDLE = 9.0, 0.45
"""Of a score: sigmoid(STEEP * (how much of the colour - MIDDLE))."""


def square_detector(*, joined: bool = True) -> ModelProto:
    """image [1, 3, 256, 256] (RGB 0..1) -> pixels and probabilities.

    ``joined`` [1, 4 + 2, 256], or ``boxes`` [1, 4, 256] and ``scores`` [1, 2, 256].
    """
    graph = Graph((SIDE, SIDE))
    colour = np.full((2, 3), -0.5)
    colour[0, 0] = colour[1, 2] = 1.0
    window = np.full((STRIDE, STRIDE), 1 / STRIDE**2)
    kernel = graph.const(STEEP * np.einsum("kc,yx->kcyx", colour, window))
    bias = graph.const([-STEEP * MIDDLE] * 2)
    logits = graph.op("Conv", "image", kernel, bias, strides=[STRIDE, STRIDE])
    scores = graph.shaped(graph.op("Sigmoid", logits), 1, 2, CELLS**2)
    moved = graph.op("Tanh", graph.shaped(graph.conv(4, STRIDE), 1, 4, CELLS**2))
    boxes = graph.op("Add", moved, graph.const(_places()[None]))
    outputs = {"boxes": (boxes, 4), "scores": (scores, 2)}
    if joined:
        outputs = {"joined": (graph.concat(boxes, scores, axis=1), 6)}
    model = graph.model(*((found, (1, rows, CELLS**2)) for found, rows in outputs.values()))
    for name, (found, _) in outputs.items():
        _rename(model, found, name)
    return model


def _rename(model: ModelProto, found: str, name: str) -> None:
    for node in model.graph.node:
        node.output[:] = [name if one == found else one for one in node.output]
    for output in model.graph.output:
        output.name = name if output.name == found else output.name


def _places() -> NDArray[np.float64]:
    """Centre and sides in pixels of each cell's square, [4, cells]."""
    rows, columns = np.divmod(np.arange(CELLS**2), CELLS)
    side = np.full(CELLS**2, float(SQUARE))
    return np.stack([(columns + 0.5) * STRIDE, (rows + 0.5) * STRIDE, side, side])


def save_detector(path: Path, *, joined: bool = True) -> Path:
    """Write the detector."""
    onnx.save(square_detector(joined=joined), path)
    return path


def write_squares(folder: Path, count: int, seed: int = 0) -> Path:
    """Pictures with squares of every strength of red and blue, each around a cell of its own."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = generator.normal(110, 12, (SIDE, SIDE, 3))
        for place in generator.choice(64, 6, replace=False):
            y, x = (int(at) * 2 * STRIDE + (STRIDE - SQUARE) // 2 for at in divmod(int(place), 8))
            strength = generator.uniform(0.3, 1.0)
            tint = np.array([255, 0, 0] if generator.random() < 0.5 else [0, 0, 255])
            patch = pixels[max(y, 0) : y + SQUARE, max(x, 0) : x + SQUARE]
            patch += strength * (tint - patch)
        image = Image.fromarray(np.clip(pixels, 0, 255).round().astype(np.uint8))
        image.save(folder / f"{number:03}.png")
    return folder
