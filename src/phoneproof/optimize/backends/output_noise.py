"""What errors inside a network do to its outputs, to first order, from a few backward passes.

An error D in a value moves the outputs by J D, with J the derivative of the outputs by that value.
For random signs v, one backward pass gives J^T v for every value at once, and the mean of
<J^T v, D> squared over v is the power |J D|^2 (Hutchinson 1989, "A stochastic estimator of the
trace of the influence matrix"). So a network of hundreds of layers needs as many passes as one of
ten.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from phoneproof.core.binding import Binding, OutputBinding
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.optimization import LayerDamage
from phoneproof.optimize.islands import LARGEST

_BUDGET: Final = 1.5e11
"""Multiply-accumulates of all backward passes together: half a minute on two cores."""
_MOST_VECTORS: Final = 4
"""For one output of one image: the layers that matter differ by more than the estimate's spread."""
_NO_NOISE_DB: Final = 300.0
"""As the checks have it: JSON knows no infinity."""
LISTS: Final = frozenset({"classes", "count"})
"""Outputs of a file that lists detections by itself: where two of them change places nothing is
lost, and no ratio of signal to noise tells."""
_SLICED: Final = ("coord", "class", "channel")
"""The axis of which an output may take a part."""

Errors = Mapping[str, Mapping[str, Tensor]]
"""Layer -> value it makes -> how far that value is moved."""


@dataclass(frozen=True, slots=True)
class OutputPart:
    """One output of the binding: a tensor, or some of the places on one of its axes."""

    item: OutputBinding

    @property
    def name(self) -> str:
        """Of the tensor, with the places where it is a part."""
        if self.item.slice is None:
            return self.item.tensor
        begin, end = self.item.slice
        return f"{self.item.tensor}[{begin}:{end}]"

    def of(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """The values as the app reads them: behind the sigmoid that the binding leaves to it.

        Before it, the background of a head (logits of -20) would count for more than results.
        """
        raw = self._sliced(outputs[self.item.tensor])
        return torch.sigmoid(raw) if self.item.activation == "sigmoid" else raw

    def _sliced(self, whole: Tensor) -> Tensor:
        axis = next((i + 1 for i, one in enumerate(self.item.axes) if one in _SLICED), None)
        if self.item.slice is None or axis is None:
            return whole
        begin, end = self.item.slice
        before, after = whole.shape[:axis], whole.shape[axis + 1 :]
        cells = whole.reshape(*before, self.item.packed, -1, *after)
        return cells.narrow(axis + 1, begin, end - begin)


def parts_of(binding: Binding, outputs: Collection[str]) -> tuple[OutputPart, ...]:
    """The outputs of a binding; several that share a tensor count apart.

    Args:
        outputs: the file's tensors.

    Raises:
        OptimizationFailed: the binding is of another file.
    """
    for item in binding.outputs:
        if item.tensor not in outputs:
            raise OptimizationFailed(
                f"the binding's output {item.tensor!r} is not in the file",
                found=", ".join(outputs),
            )
    return tuple(OutputPart(item) for item in binding.outputs)


@dataclass(slots=True)
class Tally:
    """Sums over images: power of one output, and of what each layer adds to it."""

    part: OutputPart
    signal: float = 0.0
    noise: dict[str, float] = field(default_factory=dict)

    def relative(self, layer: str) -> float:
        """Noise power of a layer over the signal's."""
        found = self.noise.get(layer, 0.0)
        return found / self.signal if self.signal else 0.0

    def look(
        self,
        outputs: Mapping[str, Tensor],
        values: Mapping[str, Tensor],
        errors: Errors,
        vectors: int,
        signs: torch.Generator,
    ) -> None:
        """Take one image's noise in, from `vectors` backward passes.

        Args:
            outputs, values: of the network without errors, with their autograd graph.
        """
        result = self.part.of(outputs)
        if not result.requires_grad:  # whole numbers
            return
        moved = [name for each in errors.values() for name in each]
        reached = [name for name in moved if values[name].requires_grad]
        self.signal += float(result.detach().double().square().sum())
        for _ in range(vectors):
            vector = torch.randint(0, 2, result.shape, generator=signs).float().mul_(2).sub_(1)
            slopes = torch.autograd.grad(
                result,
                [values[name] for name in reached],
                vector,
                retain_graph=True,
                allow_unused=True,
            )
            self._add(errors, dict(zip(reached, slopes, strict=True)), vectors)

    def _add(self, errors: Errors, slopes: Mapping[str, Tensor | None], vectors: int) -> None:
        for layer, moved in errors.items():
            total = 0.0
            for name, error in moved.items():
                slope = slopes.get(name)
                if slope is not None:
                    total += float((slope * error).sum(dtype=torch.float64))
            self.noise[layer] = self.noise.get(layer, 0.0) + total * total / vectors


@dataclass(frozen=True, kw_only=True, slots=True)
class Passes:
    """How many backward passes an image gets: `vectors` for each of `parts` outputs by turns."""

    vectors: int
    parts: int

    def of(self, turn: int, tallies: list[Tally]) -> list[Tally]:
        """The outputs that one image looks at."""
        start = turn * self.parts
        return [tallies[(start + step) % len(tallies)] for step in range(self.parts)]


def passes_of(macs: int, images: int, outputs: int) -> Passes:
    """As many passes as the budget holds, and each output at least once.

    Args:
        macs: multiply-accumulates of one inference.
    """
    affordable = max(1, int(_BUDGET / (max(macs, 1) * images)))
    # By turns over the images, so that each output is looked at at least once.
    parts = max(min(outputs, affordable), -(-outputs // images))
    return Passes(vectors=min(_MOST_VECTORS, max(1, affordable // parts)), parts=parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rounded:
    """A layer that rounds: its name, its operator, its multiply-accumulates."""

    name: str
    op: str
    macs: int


def ranked(layers: Iterable[Rounded], tallies: list[Tally], macs: int) -> tuple[LayerDamage, ...]:
    """The layers with the mean of their noise over the outputs, the most harmful first.

    Args:
        macs: of the whole network.
    """
    found = []
    for layer in layers:
        by_output = tuple((tally.part.name, tally.relative(layer.name)) for tally in tallies)
        found.append(
            LayerDamage(
                layer=layer.name,
                op=layer.op,
                macs=layer.macs / max(macs, 1),
                damage=sum(value for _, value in by_output) / max(len(by_output), 1),
                by_output=by_output,
            )
        )
    return tuple(sorted(found, key=lambda one: -one.damage))


def moved(made: Mapping[str, Tensor], known: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Value -> how far it lies from the float program's, where it does."""
    found = {}
    for name, value in made.items():
        if name not in known or not value.is_floating_point() or torch.equal(value, known[name]):
            continue
        error = value - known[name]
        if not torch.isfinite(error).all():  # an overflow loses the whole number
            lost = known[name].abs().clamp(min=LARGEST)
            error = torch.where(torch.isfinite(error), error, lost)
        found[name] = error
    return found


def powers(
    part: OutputPart, wanted: Mapping[str, Tensor], made: Mapping[str, Tensor]
) -> tuple[float, float]:
    """Of one output: power of what is wanted, and of how far what was made lies from it."""
    want, have = part.of(wanted).double(), part.of(made).double()
    return float(want.square().sum()), float((have - want).square().sum())


def ratio_db(signal: float, noise: float) -> float:
    """The signal-to-noise ratio of two powers, within +-300 dB."""
    if noise == 0:
        return _NO_NOISE_DB
    if signal == 0 or not math.isfinite(noise):
        return -_NO_NOISE_DB
    return 10 * math.log10(signal / noise)
