"""What an operation's function gets: its inputs by name, its place for messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Protocol

import torch

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.coreml.program import NamedType, TensorType

Number = int | float | bool

MOST_NUMBERS: Final = 2**28
"""In one tensor: a gigabyte of floats. Larger ones are declared by damaged or hostile files."""

MOST_KEPT: Final = 2**30
"""In all constants of a program together, as read and as computed when it is opened: four
gigabytes of floats. One blob may be read, and one operation repeated, any number of times."""

MOST_PARAMETERS: Final = 2**12
"""In one constant that says sizes, axes or places: two for each axis, one for each part."""


class Constant:
    """Numbers that are known when the program is opened.

    Attributes:
        tensor: on the CPU; floats of 16 bits widened to float32.
    """

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    @cached_property
    def numbers(self) -> tuple[Number, ...]:
        """Flattened, as Python's own."""
        return tuple(self.tensor.reshape(-1).tolist())

    @cached_property
    def shape_only(self) -> torch.Tensor:
        """A tensor of the same shape and type without numbers."""
        return self.tensor.to("meta")


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """An input that is computed at run time."""

    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """A string, or several."""

    texts: tuple[str, ...]


Input = Constant | Named | Words


@dataclass(frozen=True, kw_only=True)
class Place:
    """An operation of the program with its inputs resolved."""

    type: str
    name: str
    inputs: Mapping[str, tuple[Input, ...]]
    outputs: tuple[NamedType, ...]

    @property
    def where(self) -> str:
        """As messages name it."""
        return f"operation {self.name!r} ({self.type})"


@dataclass(frozen=True, slots=True)
class Call:
    """One operation at its place, with the values computed so far.

    `shapes_only`: constants come without numbers, as what is computed are shapes.
    """

    place: Place
    values: Mapping[str, torch.Tensor]
    shapes_only: bool = False
    device: torch.device = field(default=torch.device("cpu"))

    def has(self, key: str) -> bool:
        """Whether an optional input is given."""
        return bool(self.place.inputs.get(key))

    def tensor(self, key: str) -> torch.Tensor:
        """An input that must be there.

        Raises:
            InvalidInput: it is not, or is no tensor.
        """
        return self._tensor(self._one(key), key)

    def optional(self, key: str) -> torch.Tensor | None:
        """An input that may be left out."""
        return self.tensor(key) if self.has(key) else None

    def tensors(self, key: str) -> list[torch.Tensor]:
        """The inputs of a variadic parameter."""
        return [self._tensor(item, key) for item in self.place.inputs.get(key, ())]

    def numbers(self, key: str, default: Sequence[Number] | None = None) -> tuple[Number, ...]:
        """What a constant holds, flattened.

        Raises:
            Unsupported: computed at run time, which would make shapes depend on the image.
            InvalidInput: not given, or far more than any operation takes.
        """
        if not self.has(key):
            if default is None:
                raise InvalidInput(f"{self.place.where} lacks its input {key!r}")
            return tuple(default)
        found: list[Number] = []
        for item in self.place.inputs[key]:
            if not isinstance(item, Constant):
                raise Unsupported(
                    f"{self.place.where} takes {key!r} from a computation",
                    found="sizes, axes or places that depend on the image",
                    next_step="convert the model again with a fixed input size",
                )
            if item.tensor.numel() > MOST_PARAMETERS:  # as Python's own they are ten times as large
                raise self.misfit(f"{item.tensor.numel()} numbers as {key!r}")
            found.extend(item.numbers)
        return tuple(found)

    def integers(self, key: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        """`numbers` that are whole."""
        return tuple(int(number) for number in self.numbers(key, default))

    def flags(self, key: str, count: int) -> tuple[bool, ...]:
        """Truth values; all false where the input is left out."""
        return tuple(bool(number) for number in self.numbers(key, (False,) * count))

    def integer(self, key: str, default: int | None = None) -> int:
        """One whole number."""
        return int(self._single(key, default))

    def real(self, key: str, default: float | None = None) -> float:
        """One number."""
        return float(self._single(key, default))

    def flag(self, key: str, default: bool = False) -> bool:
        """One truth value."""
        return bool(self._single(key, default))

    def text(self, key: str, default: str | None = None) -> str:
        """One string."""
        if not self.has(key) and default is not None:
            return default
        item = self._one(key)
        if not isinstance(item, Words) or len(item.texts) != 1:
            raise InvalidInput(f"{self.place.where} needs a text as {key!r}")
        return item.texts[0]

    def declared(self, output: int = 0) -> TensorType:
        """The type that the program declares for an output.

        Raises:
            InvalidInput: it declares none.
        """
        outputs = self.place.outputs
        type_ = outputs[output].type if output < len(outputs) else None
        if not isinstance(type_, TensorType):
            raise InvalidInput(f"{self.place.where} declares no tensor as its output {output}")
        return type_

    def unsupported(self, what: str) -> Unsupported:
        """The refusal of a variant of this operation."""
        return Unsupported(f"{self.place.where}: {what} is not interpreted")

    def misfit(self, found: str) -> InvalidInput:
        """The refusal of an operation that contradicts its inputs."""
        return InvalidInput(f"{self.place.where} does not fit its inputs", found=found)

    def _single(self, key: str, default: Number | None) -> Number:
        numbers = self.numbers(key, None if default is None else (default,))
        if len(numbers) != 1:
            raise self.misfit(f"{len(numbers)} numbers as {key!r}")
        return numbers[0]

    def _one(self, key: str) -> Input:
        items = self.place.inputs.get(key, ())
        if len(items) != 1:
            raise InvalidInput(
                f"{self.place.where} lacks its input {key!r}", found=f"{len(items)} given"
            )
        return items[0]

    def _tensor(self, item: Input, key: str) -> torch.Tensor:
        if isinstance(item, Constant):
            return item.shape_only if self.shapes_only else item.tensor
        if isinstance(item, Named):
            return self.values[item.name]
        raise InvalidInput(f"{self.place.where} needs a tensor as {key!r}", found="a text")


class Operator(Protocol):
    """Computes an operation's outputs; several as a sequence."""

    def __call__(self, call: Call, /) -> torch.Tensor | Sequence[torch.Tensor]:
        """The numbers; they may be wider than declared and are narrowed afterwards."""
        ...


def on_one(function: Callable[[torch.Tensor], torch.Tensor]) -> Operator:
    """The operator that is a function of its input ``x`` alone."""

    def run(call: Call, /) -> torch.Tensor:
        return function(call.tensor("x"))

    return run


def axis_of(call: Call, axis: int, rank: int) -> int:
    """`axis` counted from the front.

    Raises:
        InvalidInput: there is no such axis.
    """
    if not -rank <= axis < rank:
        raise call.misfit(f"axis {axis} of {rank}")
    return axis % rank
