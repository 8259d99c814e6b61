"""What rounding each layer of a Core ML candidate alone does to its outputs (`output_noise`).

The candidate is compared with the package that it was made from, layer by layer: each layer of the
candidate reads what the float program computes, so what it makes is wrong by its own rounding
alone. Optimizers keep the names of layers, by which the two are put side by side.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.events import Progress, silent
from phoneproof.core.optimization import LayerDamage
from phoneproof.formats.coreml.file import read_coreml
from phoneproof.optimize.backends.output_noise import (
    Rounded,
    Tally,
    moved,
    parts_of,
    passes_of,
    ranked,
)
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor
from phoneproof.runtimes.backends.coreml import open_module
from phoneproof.runtimes.backends.mil_torch.call import Constant
from phoneproof.runtimes.backends.mil_torch.lifetimes import Step
from phoneproof.runtimes.backends.mil_torch.module import MilModule

_SEED: Final = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class DamageRequest:
    """A float package, a candidate that was made from it, and the images to look at.

    binding: of the package.
    """

    artifact: Path
    candidate: Path
    contract: Contract
    binding: Binding
    images: tuple[Path, ...]


def damage(request: DamageRequest, progress: Progress = silent) -> tuple[LayerDamage, ...]:
    """The candidate's layers that round anything, the most harmful first.

    Raises:
        InvalidInput, Unsupported: a file or an image that cannot be used.
        OptimizationFailed: no image; numbers of the float package that are not finite.
    """
    if not request.images:
        raise OptimizationFailed("there is no image to measure the damage on")
    source = open_module(read_coreml(request.artifact))
    candidate = open_module(read_coreml(request.candidate))
    parts = parts_of(request.binding, [item.name for item in source.outputs])
    tallies = [Tally(part=part) for part in parts]
    signs = torch.Generator().manual_seed(_SEED)
    layers: dict[str, Rounded] = {}
    for turn, path in enumerate(request.images):
        values = float_values(source, pixels_of(path, request.contract, request.binding), path.name)
        macs = {step.place.outputs[0].name: macs_of(step, values) for step in source.steps}
        errors = _errors(candidate, values)
        for step in source.steps:
            name = step.place.outputs[0].name
            if name in errors:
                layers[name] = Rounded(name=name, op=step.place.type, macs=macs[name])
        passes = passes_of(sum(macs.values()), len(request.images), len(parts))
        for tally in passes.of(turn, tallies):
            tally.look(values, values, errors, passes.vectors, signs)
        progress(turn + 1, len(request.images))
    return ranked(layers.values(), tallies, sum(macs.values()))


def pixels_of(path: Path, contract: Contract, binding: Binding) -> Tensor:
    """An image as the file takes it, float32.

    Raises:
        InvalidInput: it cannot be read.
    """
    spec, image = contract.image, binding.image
    prepared = Preprocessor(spec, image).prepare(read_image(path, spec))
    pixels = np.ascontiguousarray(prepared.tensor, np.float32)
    return torch.from_numpy(pixels).reshape(image.shape)


def float_values(module: MilModule, pixels: Tensor, image: str) -> dict[str, Tensor]:
    """Everything that the float program computes, with the graph that gradients take.

    Raises:
        OptimizationFailed: numbers that are not finite; image: its name, for the message.
    """
    values = {module.inputs[0].name: pixels.requires_grad_()}
    for step in module.steps:
        for name, value in module.results(step, values, round_off=False).items():
            if not torch.isfinite(value).all():
                raise OptimizationFailed(
                    f"layer {name!r} gives NaN or infinite numbers",
                    found=f"on image {image}",
                    next_step="repair the model: no smaller number can stand for them",
                )
            values[name] = value
    return values


def _errors(candidate: MilModule, values: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Layer -> value -> how far the candidate's rounding moves it; layers that round nothing are
    left out."""
    found: dict[str, dict[str, Tensor]] = {}
    known = {name: value.detach() for name, value in values.items()}
    own: dict[str, Tensor] = {}
    with torch.no_grad():
        for step in candidate.steps:
            made = candidate.results(step, ChainMap(own, known))
            own.update((name, value) for name, value in made.items() if name not in known)
            errors = moved(made, known)
            if errors:
                found[step.place.outputs[0].name] = errors
    return found


def macs_of(step: Step, values: Mapping[str, Tensor]) -> int:
    """Multiply-accumulates of one layer with constant weights; 0 for all others."""
    place = step.place
    weights = place.inputs.get("y" if place.type == "matmul" else "weight", ())
    if not weights or not isinstance(weights[0], Constant):
        return 0
    shape = weights[0].tensor.shape
    made = values[place.outputs[0].name].numel()
    if place.type in ("conv", "linear"):
        return int(made * shape[1:].numel())
    if place.type == "conv_transpose":
        return int(made * shape[0] * shape[2:].numel())
    return int(made * max(shape[-2:])) if place.type == "matmul" else 0
