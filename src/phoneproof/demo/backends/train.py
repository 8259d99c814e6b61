"""A three-layer convolutional classifier, trained in seconds on two cores, written as ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn

from phoneproof.core.binding import InputBinding
from phoneproof.core.contract import ImageInput
from phoneproof.core.events import Progress
from phoneproof.demo.shapes import CLASSES
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor

EPOCHS: Final = 16
_BATCH = 32
_LEARNING_RATE = 6e-3
_OPSET = 17


def train_classifier(
    pictures: Sequence[tuple[Path, int]],
    spec: ImageInput,
    output: Path,
    *,
    seed: int,
    progress: Progress,
) -> None:
    """Train on (path, class index) pairs and write an ONNX model with softmax output.

    Args:
        spec: how a picture becomes the input; float32 NCHW.
    """
    # One thread: the layers are too small to share, and the result is the same on every machine.
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    images, classes = _tensors(pictures, spec)
    model = _network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, _LEARNING_RATE, epochs=EPOCHS, steps_per_epoch=-(-len(images) // _BATCH)
    )
    for epoch in range(EPOCHS):
        order = torch.randperm(len(images))
        for batch in torch.split(order, _BATCH):
            picked = images[batch]
            if torch.rand(()) < 0.5:
                picked = picked.flip(-1)
            loss = nn.functional.cross_entropy(model(picked), classes[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        progress(epoch + 1, EPOCHS)
    _export(nn.Sequential(model, nn.Softmax(dim=1)).eval(), images[:1], output)


def _tensors(
    pictures: Sequence[tuple[Path, int]], spec: ImageInput
) -> tuple[torch.Tensor, torch.Tensor]:
    height, width = spec.size
    binding = InputBinding(tensor="image", shape=(1, 3, height, width), layout="NCHW")
    prepare = Preprocessor(spec, binding).prepare
    arrays = [prepare(read_image(path, spec)).tensor for path, _ in pictures]
    classes = torch.tensor([index for _, index in pictures])
    return torch.from_numpy(np.concatenate(arrays)), classes


def _network() -> nn.Sequential:
    layers: list[nn.Module] = []
    previous = 3
    for width in (12, 24, 48, 64):
        layers += [
            nn.Conv2d(previous, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        previous = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(previous, len(CLASSES))]
    return nn.Sequential(*layers)


def _export(model: nn.Module, example: torch.Tensor, output: Path) -> None:
    with warnings.catch_warnings():
        # The tracing exporter announces its successor; its output is what is wanted here.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (example,),
            str(output),
            dynamo=False,
            opset_version=_OPSET,
            input_names=["image"],
            output_names=["probabilities"],
        )
