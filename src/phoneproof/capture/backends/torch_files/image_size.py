"""Which image sizes a network takes, found by trying."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch

from phoneproof.core.capture import Finding
from phoneproof.core.contract import Size
from phoneproof.core.errors import first_line

SIDES: Final = (32, 28, 64, 96, 112, 128, 160, 224, 256, 299, 320, 416, 512, 640)
"""Sides that classifiers and detectors are trained with: CIFAR, MNIST, MobileNet, ImageNet,
Inception, YOLO."""

CHANNELS: Final = (3, 1)

ENOUGH: Final = 4
"""A network that runs on so many sizes leaves the size open; the larger ones cost time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TriedSizes:
    """channels: of the image. fitting: those of the sizes tried that it ran on.

    refused: what it said first of one that it did not take.
    stated: the size the network itself names (attribute ``image_size``), null without.
    """

    channels: int
    tried: tuple[Size, ...]
    fitting: tuple[Size, ...]
    refused: str = ""
    stated: Size | None = None

    def findings(self) -> tuple[Finding, ...]:
        """Which sizes fit, and how that is known."""
        texts = ", ".join(f"{height} x {width}" for height, width in self.fitting)
        value = texts
        if self.stated:
            reason = "read: the network's own attribute image_size"
        elif len(self.fitting) == 1:
            reason = "implied: the only size of those tried that it runs on"
        else:
            value = "open"
            reason = f"implied: it runs on {texts} alike; nothing in the file says which is right"
        return (Finding(key="evidence.sizes", value=value, reason=reason),)


def try_sizes(network: torch.nn.Module, sizes: tuple[Size, ...] = ()) -> TriedSizes:
    """Run the network on blank images of some sizes, with 3 channels and then with 1.

    Args:
        sizes: empty for the usual ones, or, where the network has an attribute ``image_size``
            (a side, or (height, width)), that alone.
    """
    stated = _stated(network)
    if not sizes:
        sizes = (stated,) if stated else tuple((side, side) for side in SIDES)
    refused = ""
    for channels in CHANNELS:
        fitting: list[Size] = []
        for size in sizes:
            if len(fitting) == ENOUGH:
                break
            fault = _fault(network, channels, size)
            if fault:
                refused = refused or fault
            else:
                fitting.append(size)
        if fitting:
            return TriedSizes(
                channels=channels,
                tried=sizes,
                fitting=tuple(fitting),
                refused=refused,
                stated=stated,
            )
    return TriedSizes(channels=0, tried=sizes, fitting=(), refused=refused, stated=stated)


def _stated(network: torch.nn.Module) -> Size | None:
    value = getattr(network, "image_size", None)
    sides = (value, value) if isinstance(value, int) else value
    if not isinstance(sides, tuple | list) or len(sides) != 2:
        return None
    height, width = sides
    whole = all(isinstance(side, int) and 1 <= side <= 8192 for side in (height, width))
    return (height, width) if whole else None


def _fault(network: torch.nn.Module, channels: int, size: Size) -> str:
    """Why the network does not take such an image; empty where it does."""
    image = torch.zeros(1, channels, *size)
    try:
        with torch.inference_mode():
            result = network(image)
    except Exception as error:  # the user's own forward() may raise anything
        return f"{type(error).__name__}: {first_line(error)}"
    values = result if isinstance(result, tuple | list) else (result,)
    empty = any(isinstance(v, torch.Tensor) and not v.numel() for v in values)
    return "an output without elements" if empty else ""
