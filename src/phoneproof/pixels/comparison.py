"""How far a dumped tensor is from the tensor of a hypothesis, in pixel units."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import InputBinding
from phoneproof.core.contract import ImageInput
from phoneproof.core.errors import ConfigError
from phoneproof.pixels.filters import to_gray
from phoneproof.pixels.geometry import GeometryStep, PadStep
from phoneproof.pixels.hypotheses import Geometry, Scaling, Source, scalings
from phoneproof.pixels.preprocess import Pixels, apply_steps
from phoneproof.pixels.values import Values, float_values, stored, value_tables

EXACT = 0.01
"""Floats within this many pixel units are equal: frameworks order their operations differently,
which costs an ulp, less than .0001 units."""

SAMPLED_SIDE = 40
"""Hypotheses are ranked on a grid of at most this many rows and columns."""

_STEP_COST = 0.2
_FACTOR = 1.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """Decoding and geometry of a hypothesis."""

    source: Source
    geometry: Geometry


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A whole hypothesis: picture, channel order, memory layout, value formula."""

    picture: Picture
    swapped: bool
    transposed: bool
    scaling: Scaling
    order_name: str = "BGR"
    layout_name: str = ""

    @property
    def mistakes(self) -> tuple[str, ...]:
        """The mistakes of this hypothesis, none for the contract's own way."""
        named = (
            self.picture.source.mistake,
            f"{self.order_name} channel order" if self.swapped else "",
            *self.picture.geometry.mistakes,
            self.scaling.mistake,
            f"mean and std in {self.order_name} order" if self._misplaced else "",
            self.layout_name if self.transposed else "",
        )
        return tuple(name for name in named if name)

    @property
    def _misplaced(self) -> bool:
        return self.scaling.turned and not self.swapped


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Largest and mean absolute difference in pixel units; `exact`: equal but for an ulp."""

    max: float
    mean: float
    exact: bool

    def cost(self, mistakes: int) -> float:
        """What ranks hypotheses: each mistake must take away a third, and .2 units."""
        return self.mean * _FACTOR**mistakes + _STEP_COST * mistakes


@dataclass(frozen=True, kw_only=True, slots=True)
class _Formula:
    """A scaling with its tables, ready to be applied."""

    scaling: Scaling
    binding: InputBinding
    tables: Values
    unit: NDArray[np.float64]


class Comparison:
    """One dump and the contract's image input; compares hypotheses with it.

    Args:
        dump: bytes of one image, of the tensor's size.
        spec: the contract's image input.
        tensor: the binding's input.
    """

    def __init__(self, dump: bytes, spec: ImageInput, tensor: InputBinding) -> None:
        self.spec = spec
        self.tensor = tensor
        values = np.frombuffer(dump, dtype=np.dtype(tensor.dtype).newbyteorder("<"))
        self._readings = {other: _as_hwc(values, spec, tensor, other) for other in (False, True)}
        self._formulas = list(_usable_formulas(spec, tensor))
        self._kept: dict[tuple[str, tuple[GeometryStep, ...]], Pixels] = {}
        self._rows = _grid(spec.size[0])
        self._columns = _grid(spec.size[1])

    def full(self, candidate: Candidate) -> Difference:
        """The difference over the whole tensor."""
        pixels = self._pixels(candidate.picture)
        formula = next(f for f in self._formulas if f.scaling == candidate.scaling)
        ordered = pixels[:, :, ::-1] if candidate.swapped else pixels
        reading = self._readings[candidate.transposed]
        return self._difference(reading, ordered, formula)

    def rank(self, pictures: list[Picture]) -> list[tuple[float, Candidate]]:
        """Cost of every hypothesis these pictures can be part of, on the sampled grid."""
        found = []
        for picture in pictures:
            sample = self._pixels(picture)[self._rows][:, self._columns]
            for candidate, formula in self._candidates(picture):
                ordered = sample[:, :, ::-1] if candidate.swapped else sample
                reading = self._readings[candidate.transposed]
                part = reading[self._rows][:, self._columns]
                difference = self._difference(part, ordered, formula)
                found.append((_rank(difference, len(candidate.mistakes)), candidate))
        return found

    def _candidates(self, picture: Picture) -> list[tuple[Candidate, _Formula]]:
        gray = self.spec.channels == "gray"
        orders = (False,) if gray else (False, True)
        layouts = (False,) if gray else (False, True)
        return [
            (
                Candidate(
                    picture=picture,
                    swapped=swapped,
                    transposed=transposed,
                    scaling=formula.scaling,
                    order_name="RGB" if self.spec.channels == "bgr" else "BGR",
                    layout_name=_layout_mistake(self.tensor),
                ),
                formula,
            )
            for swapped in orders
            for transposed in layouts
            for formula in self._formulas
        ]

    def _pixels(self, picture: Picture) -> Pixels:
        """[H, W, C] in the contract's channel order."""
        plan = picture.geometry.plan
        reverse = self.spec.channels == "bgr"
        done = self._scaled(picture)
        if plan.steps and isinstance(plan.steps[-1], PadStep):
            done = apply_steps(done, plan.steps[-1:], reverse_pad=reverse)
        return done[:, :, ::-1] if reverse else done

    def _scaled(self, picture: Picture) -> Pixels:
        """Everything before the final pad, kept because many hypotheses differ in the pad only."""
        steps = picture.geometry.plan.steps
        before = steps[:-1] if steps and isinstance(steps[-1], PadStep) else steps
        key = (picture.source.mistake, before)
        if key not in self._kept:
            rgb = picture.source.rgb
            pixels = rgb if self.spec.gray is None else to_gray(rgb, self.spec.gray)
            self._kept[key] = apply_steps(pixels, before, reverse_pad=self.spec.channels == "bgr")
        return self._kept[key]

    def _difference(self, reading: Values, pixels: Pixels, formula: _Formula) -> Difference:
        made = _values(pixels, formula)
        off = np.abs(reading.astype(np.float64) - made.astype(np.float64)) / formula.unit
        off = np.where(np.isfinite(off), off, np.inf)
        largest = float(off.max())
        whole = reading.dtype.kind in "iu"
        exact = largest == 0 if whole else largest <= EXACT
        return Difference(max=largest, mean=float(off.mean()), exact=exact)


def _rank(difference: Difference, mistakes: int) -> float:
    """Exact hypotheses before all others (below zero), the one with the fewest mistakes first."""
    return -1.0 / (1 + mistakes) if difference.exact else difference.cost(mistakes)


def _usable_formulas(spec: ImageInput, tensor: InputBinding) -> list[_Formula]:
    """Formulas whose values the tensor's dtype can hold (raw uint8 inputs know only one)."""
    found = []
    for scaling in scalings(spec, in_file=tensor.normalise_in_file):
        binding = msgspec.structs.replace(tensor, normalise_in_file=scaling.in_file)
        try:
            tables = value_tables(scaling.spec, binding)
        except ConfigError:
            if scaling.in_file == tensor.normalise_in_file and not scaling.mistake:
                raise
            continue
        unit = _unit(scaling, binding)
        found.append(_Formula(scaling=scaling, binding=binding, tables=tables, unit=unit))
    return found


def _unit(scaling: Scaling, binding: InputBinding) -> NDArray[np.float64]:
    """How much a stored value changes with one pixel unit, for each channel."""
    step = binding.quant.scale if binding.quant is not None and _whole(binding) else 1.0
    if scaling.in_file:
        return np.full(scaling.spec.channel_count, 1.0 / step)
    std = np.array(scaling.spec.std, dtype=np.float64)
    return scaling.spec.scale / std / step


def _whole(binding: InputBinding) -> bool:
    return np.dtype(binding.dtype).kind in "iu"


def _values(pixels: Pixels, formula: _Formula) -> Values:
    if pixels.dtype == np.uint8:
        channels = np.arange(pixels.shape[2])
        looked_up: Values = formula.tables[channels[None, None, :], pixels]
        return looked_up
    floats = pixels.astype(np.float32, copy=False)
    real = float_values(floats, formula.scaling.spec, formula.binding)
    return stored(real, formula.binding)


def _as_hwc(values: Values, spec: ImageInput, tensor: InputBinding, other: bool) -> Values:
    """The dump as [H, W, C], read in the binding's layout or in the other one."""
    height, width = spec.size
    count = spec.channel_count
    if (tensor.layout == "NCHW") != other:
        return values.reshape(count, height, width).transpose(1, 2, 0)
    return values.reshape(height, width, count)


def _layout_mistake(tensor: InputBinding) -> str:
    other = "NHWC" if tensor.layout == "NCHW" else "NCHW"
    return f"{other} memory order instead of {tensor.layout}"


def _grid(side: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, side - 1, min(side, SAMPLED_SIDE)).round().astype(np.int64))
