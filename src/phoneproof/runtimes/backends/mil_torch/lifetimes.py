"""How long a program's values are needed, and the memory that they take together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from phoneproof.core.errors import InvalidInput
from phoneproof.runtimes.backends.mil_torch.call import Named, Operator, Place

MOST_ALIVE: Final = 2**32
"""Bytes of all values that are needed at one time: as many as the constants may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One operation. done: values that nothing reads after this operation."""

    place: Place
    run: Operator
    done: tuple[str, ...]


def with_lifetimes(steps: Sequence[Step], outputs: set[str]) -> tuple[Step, ...]:
    """Each step with the values that it, or nothing after it, is the last to read."""
    needed = set(outputs)
    found: list[Step] = []
    for step in reversed(steps):
        read = {
            i.name for items in step.place.inputs.values() for i in items if isinstance(i, Named)
        }
        made = {output.name for output in step.place.outputs}
        done = tuple(sorted((read | made) - needed))
        needed |= read
        found.append(Step(place=step.place, run=step.run, done=done))
    return tuple(reversed(found))


def require_room(
    inputs: Sequence[str], steps: Sequence[Step], values: Mapping[str, Tensor], model: str
) -> None:
    """Refuse a program whose values are too large together, each of them fair alone.

    Args:
        inputs: names of what the program takes.
        steps: with the values that are done after each.
        values: by name, without numbers. A part of a value keeps all of it in memory: both have
            one storage here as well.
        model: for messages.

    Raises:
        InvalidInput: more than `MOST_ALIVE` bytes are needed at one time.
    """
    storages = {name: value.untyped_storage() for name, value in values.items()}
    users = Counter(storages[name]._cdata for name in inputs)
    size = sum(storages[name].nbytes() for name in inputs)
    for step in steps:
        for storage in (storages[output.name] for output in step.place.outputs):
            size += 0 if users[storage._cdata] else storage.nbytes()
            users[storage._cdata] += 1
        if size > MOST_ALIVE:
            raise InvalidInput(
                f"{model} keeps too many numbers at one time",
                found=f"{size} bytes at {step.place.where}; at most {MOST_ALIVE}",
                next_step="check where the file comes from: models for phones need far less",
            )
        for storage in (storages[name] for name in step.done):
            users[storage._cdata] -= 1
            size -= 0 if users[storage._cdata] else storage.nbytes()
