"""The measure of these tests: a hub program against the source's own runtime."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from phoneproof.runtimes.base import Session
from tests.assets import asset

Pixels = NDArray[np.float32]
PICTURES = ("images/single/bus.jpg", "images/single/zidane.jpg", "images/single/cat.bmp")


def photographs(shape: tuple[int, ...], layout: str, scale: float, shift: float) -> list[Pixels]:
    """Three real pictures as input tensors: pixel * scale + shift, the batch filled up."""
    height, width = shape[1:3] if layout == "NHWC" else shape[2:]
    channels = shape[3] if layout == "NHWC" else shape[1]
    tensors = []
    for name in PICTURES:
        picture = Image.open(asset(name)).convert("L" if channels == 1 else "RGB")
        pixels = np.asarray(picture.resize((width, height)), np.float32).reshape(height, width, -1)
        tensor = (pixels if layout == "NHWC" else pixels.transpose(2, 0, 1)) * scale + shift
        stack = [tensor[:, ::-1] if index % 2 else tensor for index in range(shape[0])]
        tensors.append(np.ascontiguousarray(np.stack(stack), np.float32))
    return tensors


def worst_relative(
    program: torch.export.ExportedProgram, session: Session, images: list[Pixels]
) -> float:
    """Largest difference over images and outputs, relative to each output's largest magnitude."""
    module = program.module()
    worst = 0.0
    for image in images:
        expected = session.run({session.inputs[0].name: image})
        with torch.inference_mode():
            result = module(torch.from_numpy(image))
        results = result if isinstance(result, (tuple, list)) else (result,)
        for value, spec in zip(results, session.outputs, strict=True):
            want = expected[spec.name]
            assert value.numpy().shape == want.shape == spec.shape
            worst = max(worst, float(np.abs(value.numpy() - want).max() / np.abs(want).max()))
    return worst
