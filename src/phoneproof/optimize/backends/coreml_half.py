"""A float32 Core ML program computed as its float16 file would be, before that file is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from phoneproof.optimize.islands import Computation
from phoneproof.runtimes.backends.mil_torch.call import Constant, Input, Named, Place
from phoneproof.runtimes.backends.mil_torch.float16 import MOVES, rounded
from phoneproof.runtimes.backends.mil_torch.lifetimes import Step
from phoneproof.runtimes.backends.mil_torch.module import MilModule


class HalfProgram:
    """A float32 program whose layers can be told to compute in float16.

    The arithmetic is that of the reference interpreter: weights and inputs rounded to float16,
    sums in float32, results rounded.

    Attributes:
        module: the program.
        computations: what each layer reads and makes, in order.
    """

    def __init__(self, module: MilModule) -> None:
        self.module = module
        self.computations = tuple(map(_computation, module.steps))
        self._narrow = {layer_of(step): replace(step, place=_narrow(step)) for step in module.steps}

    def run(self, tensors: Mapping[str, Tensor], kept: Collection[str]) -> dict[str, Tensor]:
        """Compute the outputs.

        Args:
            tensors: input name -> float32 numbers.
            kept: layers that compute in float32; all others in float16.
        """
        values = dict(tensors)
        wide = set(tensors)
        with torch.inference_mode():
            for step in self.module.steps:
                name = layer_of(step)
                if name in kept:
                    made = self.module.results(step, values, round_off=False)
                    wide.update(made)
                else:
                    made = self.narrow(step, _Rounded(values, wide))
                values.update(made)
                for done in step.done:
                    del values[done]
        return {item.name: values[item.name] for item in self.module.outputs}

    def narrow(self, step: Step, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What one layer makes of `values` in float16."""
        made = self.module.results(self._narrow[layer_of(step)], values, round_off=False)
        if step.place.type in MOVES:
            return made
        return {name: _half(value) for name, value in made.items()}


class _Rounded(dict[str, Tensor]):
    """Values as a float16 layer reads them: those that are wide are rounded first."""

    def __init__(self, values: Mapping[str, Tensor], wide: Collection[str]) -> None:
        super().__init__()
        self._values = values
        self._wide = wide

    def __missing__(self, name: str) -> Tensor:
        value = self._values[name]
        return _half(value) if name in self._wide else value


def layer_of(step: Step) -> str:
    """A layer is named by its first output."""
    return step.place.outputs[0].name


def _half(value: Tensor) -> Tensor:
    return rounded(value) if value.is_floating_point() else value


def _narrow(step: Step) -> Place:
    inputs = {key: tuple(map(_narrowed, given)) for key, given in step.place.inputs.items()}
    return replace(step.place, inputs=inputs)


def _narrowed(item: Input) -> Input:
    if not isinstance(item, Constant) or not item.tensor.is_floating_point():
        return item
    return Constant(rounded(item.tensor))


def _computation(step: Step) -> Computation:
    place = step.place
    given = (one for items in place.inputs.values() for one in items)
    return Computation(
        name=layer_of(step),
        reads=tuple(one.name for one in given if isinstance(one, Named)),
        makes=tuple(one.name for one in place.outputs),
        moves=place.type in MOVES,
    )
