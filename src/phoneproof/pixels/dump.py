"""What an app fed its model, against what the contract says: names the mistakes.

The app writes its input tensor to a file. That tensor is compared with the contract's own, and
where they differ with the tensors of a product of usual mistakes (`hypotheses`): decoding,
geometry, filter, channel order, layout, value formula. A hypothesis that matches to the last bit
wins, with the fewest mistakes; otherwise the one that leaves the least difference, where each
further mistake must pay for itself, because phones decode JPEG a few units differently.

Differences are in pixel units (1 is one of 255 steps), so formulas can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from phoneproof.core.binding import Binding, InputBinding
from phoneproof.core.contract import Contract, ImageInput
from phoneproof.core.errors import InvalidInput
from phoneproof.pixels.comparison import Candidate, Comparison, Difference, Picture
from phoneproof.pixels.hypotheses import (
    FILTERS,
    Geometry,
    Source,
    geometries,
    scalings,
    sources,
    with_filter,
)

Verdict = Literal["identical", "same pixels, another JPEG decoder", "mistakes", "unexplained"]

DECODER_MEAN = 2.0
"""Largest mean difference, in pixel units, that another JPEG decoder explains. Measured between
Pillow and libjpeg's coarsest settings (fast DCT, plain chroma upsampling, TensorFlow's
`decode_jpeg`): .67 to 1.56 on nine photographs."""

EXPLAINED_MEAN = 3.0
"""Largest mean difference that may remain when mistakes are named."""

_REFINED = 6
_CONFIRMED = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """What is wrong with a dumped tensor.

    Attributes:
        verdict: one of `Verdict`.
        mistakes: named mistakes, empty unless the verdict is "mistakes".
        max_difference, mean_difference: dump against the contract's tensor, pixel units.
        remaining_max, remaining_mean: dump against the hypothesis that fits best.
        hypotheses_tried: how many were compared.
    """

    verdict: Verdict
    mistakes: tuple[str, ...]
    max_difference: float
    mean_difference: float
    remaining_max: float
    remaining_mean: float
    hypotheses_tried: int

    @property
    def summary(self) -> str:
        """One line: the mistakes, or the verdict with its figures."""
        if self.verdict == "mistakes":
            return ", ".join(self.mistakes)
        if self.verdict == "unexplained":
            return (
                f"no usual mistake explains it: mean difference {self.mean_difference:.2f}, "
                f"at best {self.remaining_mean:.2f} of 255 "
                f"({self.hypotheses_tried} hypotheses)"
            )
        return self.verdict


def diagnose(rgb_image_path: Path, dump: bytes, contract: Contract, binding: Binding) -> Diagnosis:
    """Compare an app's input tensor with the contract's and name what went wrong.

    Args:
        rgb_image_path: the picture the app was given.
        dump: the tensor's bytes, little-endian, in the binding's dtype, one image.
        contract: what the tensor should mean.
        binding: layout, dtype and quantization of the tensor.

    Raises:
        InvalidInput: the dump does not have the tensor's size, or the picture cannot be read.
    """
    spec, tensor = contract.image, binding.image
    check_size(dump, spec, tensor)
    comparison = Comparison(dump, spec, tensor)
    pictures = list(sources(rgb_image_path, spec))
    own_plan = geometries(spec, *pictures[0].rgb.shape[:2])[0]
    against = comparison.full(_candidate(comparison, pictures[0], own_plan))
    if against.exact:
        return _diagnosis("identical", (), against, against, tried=1)
    ranked, tried = _search(comparison, pictures, spec)
    best, remaining = _best(comparison, ranked)
    verdict = _verdict(best, remaining)
    mistakes = best.mistakes if verdict == "mistakes" else ()
    return _diagnosis(verdict, mistakes, against, remaining, tried=tried)


def check_size(dump: bytes, spec: ImageInput, tensor: InputBinding) -> None:
    """InvalidInput where the dump is not one image of the tensor's size."""
    height, width = spec.size
    values = height * width * spec.channel_count
    expected = values * np.dtype(tensor.dtype).itemsize
    if len(dump) == expected:
        return
    shape = (spec.channel_count, height, width)
    if tensor.layout == "NHWC":
        shape = (height, width, spec.channel_count)
    raise InvalidInput(
        "the dump does not have the size of the input tensor",
        found=f"{len(dump)} bytes{_other_reading(len(dump), values)}",
        next_step=f"write {expected} bytes: {tensor.dtype} {[1, *shape]} ({tensor.layout}), "
        "little-endian, one image, no header",
    )


def _other_reading(size: int, values: int) -> str:
    names = {1: "8-bit", 2: "16-bit", 4: "32-bit", 8: "64-bit"}
    for width, name in names.items():
        if size == values * width:
            return f", which would fit {name} values"
    for channels in (1, 4):
        if size * 3 == values * 4 * channels:
            return f", which would fit float32 values of {channels} channel(s)"
    return ""


def _candidate(comparison: Comparison, source: Source, geometry: Geometry) -> Candidate:
    picture = Picture(source=source, geometry=geometry)
    own = scalings(comparison.spec, in_file=comparison.tensor.normalise_in_file)[0]
    return Candidate(picture=picture, swapped=False, transposed=False, scaling=own)


def _search(
    comparison: Comparison, pictures: list[Source], spec: ImageInput
) -> tuple[list[tuple[float, Candidate]], int]:
    """Every geometry with the contract's filter, then every filter for the best of them."""
    coarse = [
        Picture(source=source, geometry=geometry)
        for source in pictures
        for geometry in geometries(spec, *source.rgb.shape[:2])
    ]
    ranked = comparison.rank(coarse)
    fine = [_filtered(picture, name) for picture in _leading(ranked) for name in FILTERS]
    ranked += comparison.rank([picture for picture in fine if picture is not None])
    ranked.sort(key=lambda entry: entry[0])
    return ranked, len(ranked)


def _leading(ranked: list[tuple[float, Candidate]]) -> list[Picture]:
    """The best few pictures, each once, whatever else their hypotheses say."""
    found: list[Picture] = []
    for _, candidate in sorted(ranked, key=lambda entry: entry[0]):
        if all(candidate.picture is not picture for picture in found):
            found.append(candidate.picture)
        if len(found) == _REFINED:
            break
    return found


def _filtered(picture: Picture, name: str) -> Picture | None:
    """The picture with another filter; None where that is the contract's or nothing is scaled."""
    resize = picture.geometry.plan.resize
    method = next(known for known in FILTERS if known == name)
    if resize is None or resize.filter == method:
        return None
    mistake = f"resized with {method} instead of {resize.filter}"
    plan = with_filter(picture.geometry.plan, method)
    geometry = Geometry(mistakes=(*picture.geometry.mistakes, mistake), plan=plan)
    return Picture(source=picture.source, geometry=geometry)


def _best(
    comparison: Comparison, ranked: list[tuple[float, Candidate]]
) -> tuple[Candidate, Difference]:
    """Confirm the leaders on the whole tensor; exact ones first, then by what remains."""
    confirmed = [(candidate, comparison.full(candidate)) for _, candidate in ranked[:_CONFIRMED]]

    def order(entry: tuple[Candidate, Difference]) -> tuple[bool, float]:
        candidate, difference = entry
        count = len(candidate.mistakes)
        return (not difference.exact, count if difference.exact else difference.cost(count))

    return min(confirmed, key=order)


def _verdict(best: Candidate, remaining: Difference) -> Verdict:
    if not best.mistakes:
        small = remaining.mean <= DECODER_MEAN
        return "same pixels, another JPEG decoder" if small else "unexplained"
    return "mistakes" if remaining.mean <= EXPLAINED_MEAN else "unexplained"


def _diagnosis(
    verdict: Verdict,
    mistakes: tuple[str, ...],
    against: Difference,
    remaining: Difference,
    *,
    tried: int,
) -> Diagnosis:
    return Diagnosis(
        verdict=verdict,
        mistakes=mistakes,
        max_difference=against.max,
        mean_difference=against.mean,
        remaining_max=remaining.max,
        remaining_mean=remaining.mean,
        hypotheses_tried=tried,
    )
