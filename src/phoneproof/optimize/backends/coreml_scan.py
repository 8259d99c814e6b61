"""A float32 Core ML package, looked at on a few images before its float16 file is written: which
values float16 cannot hold, and which layers have to stay float32 for a signal-to-noise ratio."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
import torch
from torch import Tensor

from phoneproof.core.artifact import tree_sha256
from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.events import Progress, silent
from phoneproof.core.optimization import LayerDamage
from phoneproof.core.recipe import MethodRanges, Ranges, TensorRange
from phoneproof.formats.coreml.file import read_coreml
from phoneproof.optimize.backends.coreml_half import HalfProgram, layer_of
from phoneproof.optimize.backends.coreml_sensitivity import (
    float_values,
    macs_of,
    pixels_of,
)
from phoneproof.optimize.backends.output_noise import (
    LISTS,
    Rounded,
    Tally,
    moved,
    parts_of,
    passes_of,
    powers,
    ranked,
    ratio_db,
)
from phoneproof.optimize.float16_scan import Float16Scan
from phoneproof.optimize.islands import (
    expected_db,
    fewest,
    least,
    lost_in_float16,
    out_of_range,
    unheld,
    with_readers,
)
from phoneproof.runtimes.backends.coreml import open_module
from phoneproof.runtimes.backends.mil_torch.call import Constant
from phoneproof.runtimes.backends.mil_torch.lifetimes import Step
from phoneproof.runtimes.backends.mil_torch.module import MilModule

_SEED: Final = 0
_DAMAGE_IMAGES: Final = 4
"""Layers differ by orders of magnitude: few images tell them apart. Ratios are of all images: those
of single ones differ by 3 dB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanRequest:
    """A float32 package and the images to look at.

    binding: of the package. snr_db: asked of every output; null asks for the ranges alone.
    """

    artifact: Path
    contract: Contract
    binding: Binding
    images: tuple[Path, ...]
    snr_db: float | None = None


def scan(request: ScanRequest, progress: Progress = silent) -> tuple[Ranges, Float16Scan]:
    """The range of every value, and what float16 makes of the package.

    Raises:
        InvalidInput, Unsupported: a file or an image that cannot be used.
        OptimizationFailed: no image.
    """
    if not request.images:
        raise OptimizationFailed("there is no image to scan the ranges on")
    looking = _Looking(request, progress)
    bounds = looking.bounds()
    largest = {name: max(abs(low), abs(high)) for name, (low, high) in bounds.items()}
    found = Float16Scan(
        images=len(request.images),
        unheld=tuple((name, largest[name]) for name in sorted(unheld(largest))),
    )
    finite = len(bounds) == looking.values
    if request.snr_db is not None and finite and not looking.lists:
        found = looking.judged(found, largest, request.snr_db)
    return _ranges(request, bounds), found


def _ranges(request: ScanRequest, bounds: Mapping[str, tuple[float, float]]) -> Ranges:
    ranges = tuple(TensorRange(tensor=n, low=low, high=high) for n, (low, high) in bounds.items())
    return Ranges(
        artifact=tree_sha256(request.artifact),
        methods=(MethodRanges(method="min_max", ranges=ranges),),
    )


class _Looking:
    """The package, opened, with the images as it takes them and what it makes of them.

    values: how many float values it computes. lists: whether it lists detections by itself.
    """

    def __init__(self, request: ScanRequest, progress: Progress) -> None:
        self.module: MilModule = open_module(read_coreml(request.artifact))
        self.values = 0
        self.lists = any(item.role in LISTS for item in request.binding.outputs)
        self._half = HalfProgram(self.module)
        self._parts = parts_of(request.binding, [item.name for item in self.module.outputs])
        self._request = request
        self._progress = progress
        name = self.module.inputs[0].name
        self._fed = [{name: self._pixels(path)} for path in request.images]
        self._wanted: list[dict[str, Tensor]] = []

    def bounds(self) -> dict[str, tuple[float, float]]:
        """(lowest, highest) of every value that is finite on all images; keeps the outputs."""
        found: dict[str, tuple[float, float]] = {}
        seen: set[str] = set()

        def watch(name: str, value: Tensor) -> None:
            if value.is_floating_point() and value.numel():
                seen.add(name)
                low, high = (float(one) for one in torch.aminmax(value))
                before = found.get(name, (math.inf, -math.inf))
                found[name] = min(before[0], low), max(before[1], high)

        for turn, fed in enumerate(self._fed):
            for name, value in fed.items():
                watch(name, value)
            self._wanted.append(self.module.run(fed, watch))
            self._progress(turn + 1, len(self._request.images))
        self.values = len(seen)
        return {n: ends for n, ends in found.items() if all(map(math.isfinite, ends))}

    def judged(self, scan: Float16Scan, largest: Mapping[str, float], aim: float) -> Float16Scan:
        """With what float16 leaves of the outputs, and as few layers as bring it to `aim`, dB."""
        must = self._must(largest)
        output, plain = self._worst(must)
        found = msgspec.structs.replace(scan, output=output, snr_db=plain, reached_db=plain)
        if plain >= aim:
            return found
        damage = self._damage(must)
        layers, reached = self._fewest(damage, must, plain, aim)
        return msgspec.structs.replace(found, layers=layers, reached_db=reached, damage=damage)

    def _must(self, largest: Mapping[str, float]) -> frozenset[str]:
        """The layers that the optimizer keeps float32 whatever the recipe says."""
        heavy = {layer_of(step) for step in self.module.steps if _is_heavy(step)}
        return frozenset(heavy.union(out_of_range(self._half.computations, largest)))

    def _fewest(
        self, damage: tuple[LayerDamage, ...], must: frozenset[str], plain: float, aim: float
    ) -> tuple[tuple[str, ...], float]:
        """As few of the most harmful layers as bring the outputs to `aim`, and what they have."""
        order = fewest(damage, math.inf)

        @cache
        def reached(count: int) -> float:
            return self._worst(must.union(self._with_readers(order[:count])))[1]

        guess = len(fewest(damage, expected_db(damage) + aim - plain))
        count = least(reached, aim, guess, len(order))
        return order[:count], reached(count)

    def _with_readers(self, layers: Collection[str]) -> tuple[str, ...]:
        return with_readers(self._half.computations, layers)

    def _worst(self, kept: Collection[str]) -> tuple[str, float]:
        """The output that is worst off, and its signal-to-noise ratio over all images, dB."""
        sums = {part: [0.0, 0.0] for part in self._parts}
        for fed, wanted in zip(self._fed, self._wanted, strict=True):
            made = self._half.run(fed, kept)
            for part in self._parts:
                signal, noise = powers(part, wanted, made)
                sums[part][0] += signal
                sums[part][1] += noise
        ratios = {part: ratio_db(signal, noise) for part, (signal, noise) in sums.items()}
        worst = min(ratios, key=lambda part: ratios[part])
        return worst.name if worst.item.role == "raw" else worst.item.role, ratios[worst]

    def _damage(self, must: frozenset[str]) -> tuple[LayerDamage, ...]:
        """Of the layers that round anything, but for those that stay float32 anyway."""
        tallies = [Tally(part=part) for part in self._parts]
        signs = torch.Generator().manual_seed(_SEED)
        layers: dict[str, Rounded] = {}
        total = 1
        images = self._request.images[:_DAMAGE_IMAGES]
        for turn, path in enumerate(images):
            values = float_values(self.module, self._pixels(path), path.name)
            macs = {layer_of(step): macs_of(step, values) for step in self.module.steps}
            total = sum(macs.values())
            errors = self._errors(values, must)
            for step in self.module.steps:
                if layer_of(step) in errors:
                    name = layer_of(step)
                    layers[name] = Rounded(name=name, op=step.place.type, macs=macs[name])
            passes = passes_of(total, len(images), len(self._parts))
            for tally in passes.of(turn, tallies):
                tally.look(values, values, errors, passes.vectors, signs)
        return ranked(layers.values(), tallies, total)

    def _errors(
        self, values: Mapping[str, Tensor], must: frozenset[str]
    ) -> dict[str, dict[str, Tensor]]:
        known = {name: value.detach() for name, value in values.items()}
        found = {}
        with torch.no_grad():
            for step in self.module.steps:
                name = layer_of(step)
                errors = {} if name in must else moved(self._half.narrow(step, known), known)
                if errors:
                    found[name] = errors
        return found

    def _pixels(self, path: Path) -> Tensor:
        return pixels_of(path, self._request.contract, self._request.binding)


def _is_heavy(step: Step) -> bool:
    given = (one for items in step.place.inputs.values() for one in items)
    arrays = (one.tensor for one in given if isinstance(one, Constant))
    return any(lost_in_float16(one.numpy()) for one in arrays if one.dtype == torch.float32)
