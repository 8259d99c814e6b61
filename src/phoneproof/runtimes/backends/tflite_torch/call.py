"""What an operator's function gets: its inputs with their layout, its options, its weights.

Four-axis values are stored channels first behind convolutions while the file counts their axes as
[N, H, W, C]; `Value` keeps the two apart, so a chain of convolutions carries no transposes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.tflite_options import OpOptions

TO_FIRST = (0, 3, 1, 2)
TO_LAST = (0, 2, 3, 1)
_FIRST_AXES = (0, 2, 3, 1)
"""Where the axes N, H, W, C of a value lie when it is stored channels first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """One tensor of the file.

    tensor: its numbers; real ones for a constant. channels_first: stored [N, C, H, W] although
    the file counts [N, H, W, C]. constant: index of the file's tensor it came from, or None.
    numbers: what a small constant holds, flattened (torch.export hides the numbers of tensors).
    """

    tensor: torch.Tensor
    channels_first: bool = False
    constant: int | None = None
    numbers: tuple[int | float, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape as the file counts it."""
        sides = tuple(int(side) for side in self.tensor.shape)
        return tuple(sides[axis] for axis in _FIRST_AXES) if self.channels_first else sides

    @property
    def plain(self) -> torch.Tensor:
        """The tensor with the file's axes."""
        return self.tensor.permute(TO_LAST) if self.channels_first else self.tensor

    @property
    def nchw(self) -> torch.Tensor:
        """The tensor channels first, for a value of four axes."""
        if self.channels_first:
            return self.tensor
        if self.tensor.dim() != 4:
            raise InvalidInput(
                "an image operator reads a tensor that has not four axes", found=str(self.shape)
            )
        return self.tensor.permute(TO_FIRST)

    def stored_axis(self, axis: int) -> int:
        """Where the file's `axis` (may be negative) lies in `tensor`.

        Raises:
            InvalidInput: there is no such axis.
        """
        rank = self.tensor.dim()
        if not -rank <= axis < rank:
            raise InvalidInput(f"axis {axis} of a tensor of {rank} axes", found=str(self.shape))
        axis %= rank
        return _FIRST_AXES[axis] if self.channels_first else axis

    def like(self, tensor: torch.Tensor) -> Value:
        """`tensor` stored in this value's layout."""
        return Value(tensor=tensor, channels_first=self.channels_first)


def plain(tensor: torch.Tensor) -> Value:
    """A value with the file's axes."""
    return Value(tensor=tensor)


def first(tensor: torch.Tensor) -> Value:
    """A value stored channels first."""
    return Value(tensor=tensor, channels_first=True)


def constant(tensor: torch.Tensor, index: int) -> Value:
    """The file's tensor `index` with its numbers."""
    small = tensor.numel() <= _MOST_NUMBERS
    numbers = tuple(tensor.reshape(-1).tolist()) if small else ()
    return Value(tensor=tensor, constant=index, numbers=numbers)


def part_of(tensor: torch.Tensor, axis: int, begin: int, length: int) -> torch.Tensor:
    """`length` places from `begin` on of one axis, as a slice: converters know no narrow."""
    index = [slice(None)] * tensor.dim()
    index[axis] = slice(begin, begin + length)
    return tensor[tuple(index)]


class Weights(Protocol):
    """Where an operator's constants become named parameters."""

    def parameter(
        self, name: str, key: tuple[int, str], make: Callable[[], torch.Tensor]
    ) -> torch.Tensor:
        """The parameter of `key`; `make` gives its values the first time."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One operator at its place."""

    name: str
    where: str
    inputs: tuple[Value | None, ...]
    options: OpOptions
    weights: Weights

    def value(self, slot: int) -> Value:
        """An input that must be there, ready to be computed with (constants: as parameters)."""
        value = self.raw(slot)
        if value.constant is None:
            return value
        return replace(value, tensor=self.weight(slot, "constant", _same))

    def raw(self, slot: int) -> Value:
        """An input that must be there, a constant as it is.

        Raises:
            InvalidInput: the operator has fewer inputs.
        """
        value = self.inputs[slot] if slot < len(self.inputs) else None
        if value is None:
            raise InvalidInput(f"{self.where} lacks its input {slot}")
        return value

    def has(self, slot: int) -> bool:
        """Whether an optional input is given."""
        return slot < len(self.inputs) and self.inputs[slot] is not None

    def weight(
        self, slot: int, part: str, make: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """The parameter made of a constant input; computed with where it is no constant."""
        value = self.raw(slot)
        if value.constant is None:
            return make(value.plain)
        source = value.tensor
        return self.weights.parameter(part, (value.constant, part), lambda: make(source))

    def numbers(self, slot: int) -> tuple[int, ...]:
        """Whole numbers that a constant input holds (axes, paddings, sizes), flattened.

        Raises:
            Unsupported: computed at run time, which would make shapes dynamic.
        """
        value = self.raw(slot)
        if value.constant is None:
            raise Unsupported(
                f"{self.where} takes its input {slot} from a computation",
                found="shapes, axes and paddings that depend on the image",
                next_step="convert the model again with a fixed input size",
            )
        if len(value.numbers) != value.tensor.numel():
            raise InvalidInput(f"{self.where} has {value.tensor.numel()} numbers as its input")
        return tuple(int(number) for number in value.numbers)

    def unsupported(self, what: str) -> Unsupported:
        """The refusal of a variant of this operator."""
        return Unsupported(
            f"{self.where}: {what} is not handled",
            next_step="move it out of the model, or give the model this file was made from",
        )


_MOST_NUMBERS = 4096
"""Of a constant that is read as shapes, axes and paddings."""

Operator = Callable[[Call], Value | Sequence[Value]]


def _same(tensor: torch.Tensor) -> torch.Tensor:
    return tensor
