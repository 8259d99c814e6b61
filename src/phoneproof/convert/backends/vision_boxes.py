"""What stands between a detector's outputs and Core ML's suppression, as a torch module."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from phoneproof.core.binding import Axis, Binding, Box, OutputBinding, Role
from phoneproof.decode.heads import input_size
from phoneproof.decode.levels import role_parts
from phoneproof.decode.values import VALUE_AXES

_ROWS: Final[tuple[Axis, ...]] = ("anchor", "y", "x")
_SWAPPED: Final = (1, 0, 3, 2)


class VisionBoxes(nn.Module):
    """Outputs of a network -> confidence [boxes, classes] and coordinates [boxes, 4].

    Coordinates are centre x, centre y, width and height as fractions of the input. Of each box
    only the best class keeps its confidence: Vision takes the sum of a row as the confidence that
    there is anything, so that rows of independent sigmoids would come to more than 1.

    Args:
        binding: of the network; `phoneproof.convert.nms_pipeline` has nothing against it.
    """

    def __init__(self, binding: Binding) -> None:
        super().__init__()
        self._names = binding.tensors
        self._binding = binding
        self._size = input_size(binding)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tensors in the order of the binding's, batch first."""
        given = dict(zip(self._names, tensors, strict=True))
        scores = self._role(given, "scores")
        if any(output.role == "objectness" for output in self._binding.outputs):
            scores = scores * self._role(given, "objectness")
        best = scores.amax(dim=1, keepdim=True)
        confidence = scores * (scores >= best).to(scores.dtype)
        box = role_parts(self._binding, "boxes")[0].box
        assert box is not None, "checked before"
        return confidence, self._centres(self._role(given, "boxes"), box)

    def _role(self, given: dict[str, torch.Tensor], role: Role) -> torch.Tensor:
        parts = [_rows(given[one.tensor], one) for one in role_parts(self._binding, role)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _centres(self, values: torch.Tensor, box: Box) -> torch.Tensor:
        if box.order == "yx" or box.format == "yxyx":
            values = torch.stack([values[:, column] for column in _SWAPPED], dim=1)
        if box.format != "cxcywh":
            first, last = values[:, :2], values[:, 2:]
            values = torch.cat([(first + last) * 0.5, last - first], dim=1)
        if box.units == "fraction":
            return values
        height, width = self._size
        return values * torch.tensor([1 / width, 1 / height, 1 / width, 1 / height])


def _rows(tensor: torch.Tensor, output: OutputBinding) -> torch.Tensor:
    """float32 [rows, values] of one role, as `phoneproof.decode.values.role_rows` has them."""
    axes = output.axes
    order = [axes.index(axis) for axis in _ROWS if axis in axes]
    order += [place for place, axis in enumerate(axes) if axis in VALUE_AXES]
    width = tensor.shape[1 + order[-1]] if axes[order[-1]] in VALUE_AXES else 1
    rows = tensor[0].permute(order).reshape(-1, width)
    if output.slice is not None:
        rows = rows[:, output.slice[0] : output.slice[1]]
    return torch.sigmoid(rows) if output.activation == "sigmoid" else rows
