"""One layer of a network, and how it fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from phoneproof.core.errors import InvalidInput, Unsupported

Message = Any
"""A protobuf message; the generated classes carry no types."""

Blobs = Sequence[torch.Tensor]
Function = Callable[[Blobs], Blobs]
"""What a layer computes: its inputs -> its outputs, in the layer's order."""

MOST_ELEMENTS: Final = 1 << 28
"""Of one blob: a gigabyte of float32. A file of a few bytes may ask for anything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A layer as the file has it. kind: the name of its message (``convolution``); params: that
    message. model: the file's name, for messages."""

    model: str
    name: str
    kind: str
    params: Message
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def damaged(self, found: str) -> InvalidInput:
        """The error for a layer whose numbers do not fit each other."""
        return InvalidInput(
            f"layer {self.name!r} of {self.model} is damaged", found=f"{self.kind}: {found}"
        )

    def unsupported(self, found: str) -> Unsupported:
        """The error for a way of doing things that is not interpreted."""
        return Unsupported(
            f"layer {self.name!r} of {self.model} is not interpreted",
            found=f"{self.kind}: {found}",
            next_step="open the model on a Mac, where Core ML itself runs it",
        )

    def pair(self, values: Iterable[int], default: int) -> tuple[int, int]:
        """A [height, width] of the layer, at least 1 each; `default` where it is not set.

        Raises:
            InvalidInput: another number of values, or absurd ones.
        """
        given = tuple(int(value) for value in values) or (default, default)
        if len(given) != 2 or not all(1 <= value <= MOST_ELEMENTS for value in given):
            raise self.damaged(f"sizes {list(given)}")
        return given[0], given[1]

    def borders(self, amounts: Message) -> tuple[int, int, int, int]:
        """(top, bottom, left, right) of a BorderAmounts; zeros where it is not set.

        Raises:
            InvalidInput: another number of sides than two, or absurd amounts.
        """
        edges = [(int(e.startEdgeSize), int(e.endEdgeSize)) for e in amounts.borderAmounts]
        edges = edges or [(0, 0), (0, 0)]
        if len(edges) != 2 or max(max(edge) for edge in edges) > MOST_ELEMENTS:
            raise self.damaged(f"borders {edges}")
        return (*edges[0], *edges[1])

    def require_size(self, shape: Iterable[int]) -> None:
        """Refuse to make a blob that no network needs.

        Raises:
            InvalidInput: more than `MOST_ELEMENTS` numbers.
        """
        sides = tuple(shape)
        if math.prod(sides) > MOST_ELEMENTS:
            raise self.damaged(f"a blob of shape {list(sides)}")


def one(function: Callable[[torch.Tensor], torch.Tensor]) -> Function:
    """A function of one blob as one of lists."""
    return lambda blobs: (function(*blobs),)


def on_images(function: Callable[[torch.Tensor], torch.Tensor]) -> Function:
    """A function of [N, C, H, W]: the axes before the channels all count as the batch."""

    def whole(blob: torch.Tensor) -> torch.Tensor:
        leading = blob.shape[:-3]
        result = function(blob.reshape(-1, *blob.shape[-3:]))
        return result.reshape(*leading, *result.shape[1:])

    return one(whole)
