"""What a network does to an image before its first layer."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from phoneproof.core.errors import InvalidInput
from phoneproof.formats.coreml.description import ImageFeature
from phoneproof.runtimes.backends.coreml_network.layer import Message

Preprocess = Callable[[torch.Tensor], torch.Tensor]


def preprocessing(network: Message, image: ImageFeature, model: str) -> Preprocess:
    """Of [1, C, H, W] in 0..255, in the colour order of the file.

    Raises:
        InvalidInput: a mean image of another size.
    """
    steps = [
        _step(one, image, model)
        for one in network.preprocessing
        if str(one.featureName) in ("", image.name)
    ]

    def apply(pixels: torch.Tensor) -> torch.Tensor:
        for step in steps:
            pixels = step(pixels)
        return pixels

    return apply


def _step(message: Message, image: ImageFeature, model: str) -> Preprocess:
    if message.WhichOneof("preprocessor") == "meanImage":
        mean = np.array(message.meanImage.meanImage, np.float32)
        shape = image.shape[1:]
        if mean.size != math.prod(shape):
            raise InvalidInput(
                f"the mean image of {model} is damaged",
                found=f"{mean.size} numbers for an input of {list(shape)}",
            )
        whole = torch.from_numpy(mean.reshape(shape))
        return lambda pixels: pixels - whole
    scaler = message.scaler
    if image.shape[1] == 1:
        added = [scaler.grayBias]
    else:
        added = [scaler.redBias, scaler.greenBias, scaler.blueBias]
        added = added[::-1] if image.colour == "BGR" else added
    bias = torch.tensor(added, dtype=torch.float32).reshape(-1, 1, 1)
    scale = torch.tensor(scaler.channelScale, dtype=torch.float32)
    return lambda pixels: pixels * scale + bias
