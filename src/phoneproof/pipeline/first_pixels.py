"""The first values a model is fed with a picture, and what a phone's own tensor got wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from phoneproof.core.binding import DType, Layout, Quant
from phoneproof.core.errors import InvalidInput
from phoneproof.pipeline.loaded import read_file
from phoneproof.pipeline.pixel_source import PixelSource
from phoneproof.pixels.dump import Diagnosis, Verdict, diagnose
from phoneproof.pixels.geometry import CropStep, GeometryPlan, GeometryStep, PadStep
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor

if TYPE_CHECKING:
    from phoneproof.pixels.preprocess import Pixels
    from phoneproof.pixels.values import Values

SHOWN = 8
"""Pixels of a row that are shown."""

_MOST_DUMP_BYTES = 1 << 30
_NAMES = {
    "rgb": ("red", "green", "blue"),
    "bgr": ("blue", "green", "red"),
    "gray": ("gray",),
}


class ChannelValues(msgspec.Struct, frozen=True, kw_only=True):
    """One channel: `pixels` (0..255) after the geometry, `tensor`: what the model is fed."""

    channel: str
    pixels: tuple[float, ...]
    tensor: tuple[float, ...]


class RowValues(msgspec.Struct, frozen=True, kw_only=True):
    """Up to eight neighbouring pixels from (row, column) on, in the contract's channel order."""

    row: int
    column: int
    channels: tuple[ChannelValues, ...]


class FirstPixels(msgspec.Struct, frozen=True, kw_only=True):
    """What the contract makes of a picture.

    width, height: of the oriented picture. geometry: its steps in words, for this picture.
    rows: the tensor's first row and, where that is padding, the picture's own first row.
    """

    image: str
    origin: str
    assumed: str
    contract: str
    width: int
    height: int
    geometry: tuple[str, ...]
    tensor: str
    shape: tuple[int, ...]
    layout: Layout
    dtype: DType
    quant: Quant | None
    rows: tuple[RowValues, ...]


class DumpReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a phone's tensor; differences in pixel units (1 of 255).

    remaining_*: what the named mistakes leave unexplained. accepted: nothing is wrong.
    """

    image: str
    origin: str
    assumed: str
    contract: str
    verdict: Verdict
    accepted: bool
    summary: str
    mistakes: tuple[str, ...]
    max_difference: float
    mean_difference: float
    remaining_max: float
    remaining_mean: float
    hypotheses_tried: int


def first_pixels(source: PixelSource) -> FirstPixels:
    """Prepare the picture as the contract says and take the first values.

    Raises:
        InvalidInput: the picture cannot be read. ConfigError: the geometry does not fit it.
    """
    spec, tensor = source.contract.image, source.binding.image
    rgb = read_image(source.picture, spec)
    preprocessor = Preprocessor(spec, tensor)
    prepared = preprocessor.prepare(rgb)
    pixels = preprocessor.pixels(rgb)
    fed = prepared.tensor[0]
    values = fed.transpose(1, 2, 0) if tensor.layout == "NCHW" else fed
    names = _NAMES[spec.channels]
    return FirstPixels(
        image=str(source.picture),
        origin=source.origin,
        assumed=source.assumed,
        contract=source.contract.sha256,
        width=rgb.shape[1],
        height=rgb.shape[0],
        geometry=geometry_words(prepared.plan),
        tensor=tensor.tensor,
        shape=prepared.tensor.shape,
        layout=tensor.layout,
        dtype=tensor.dtype,
        quant=tensor.quant,
        rows=tuple(_row(pixels, values, place, names) for place in _places(prepared.plan)),
    )


def diagnose_dump(source: PixelSource, dump: Path) -> DumpReport:
    """Compare the bytes an app fed its model with the contract's tensor.

    Raises:
        InvalidInput: the dump is missing or not one image of the tensor's size, or the picture
            cannot be read.
    """
    _refuse_huge(dump)
    data = read_file(dump)
    found: Diagnosis = diagnose(source.picture, data, source.contract, source.binding)
    return DumpReport(
        image=str(source.picture),
        origin=source.origin,
        assumed=source.assumed,
        contract=source.contract.sha256,
        verdict=found.verdict,
        accepted=found.verdict in {"identical", "same pixels, another JPEG decoder"},
        summary=found.summary,
        mistakes=found.mistakes,
        max_difference=found.max_difference,
        mean_difference=found.mean_difference,
        remaining_max=found.remaining_max,
        remaining_mean=found.remaining_mean,
        hypotheses_tried=found.hypotheses_tried,
    )


def geometry_words(plan: GeometryPlan) -> tuple[str, ...]:
    """The steps for one picture in words; sizes are width x height."""
    height, width = plan.original
    words = []
    for step in plan.steps:
        words.append(_step_words(step, height, width))
        height, width = step.height, step.width
    return tuple(words) or ("left as it is",)


def _step_words(step: GeometryStep, height: int, width: int) -> str:
    size = f"{step.width}x{step.height}"
    if isinstance(step, CropStep):
        return f"cut to {size} from row {step.top}, column {step.left}"
    if isinstance(step, PadStep):
        bottom, right = step.height - height - step.top, step.width - width - step.left
        return (
            f"padded to {size} with {list(step.value)}: {step.top} above, {bottom} below, "
            f"{step.left} left, {right} right"
        )
    return f"resized from {width}x{height} to {size} with {step.filter}"


def _places(plan: GeometryPlan) -> tuple[tuple[int, int], ...]:
    """(row, column) of the rows to show."""
    last = plan.steps[-1] if plan.steps else None
    if isinstance(last, PadStep) and (last.top, last.left) != (0, 0):
        return (0, 0), (last.top, last.left)
    return ((0, 0),)


def _row(
    pixels: Pixels, values: Values, place: tuple[int, int], names: tuple[str, ...]
) -> RowValues:
    row, column = place
    columns = slice(column, column + SHOWN)
    return RowValues(
        row=row,
        column=column,
        channels=tuple(
            ChannelValues(
                channel=name,
                pixels=tuple(pixels[row, columns, i].tolist()),
                tensor=tuple(values[row, columns, i].tolist()),
            )
            for i, name in enumerate(names)
        ),
    )


def _refuse_huge(dump: Path) -> None:
    if dump.is_file() and dump.stat().st_size > _MOST_DUMP_BYTES:
        raise InvalidInput(
            f"{dump.name} is too large for one input tensor",
            found=f"{dump.stat().st_size} bytes",
            next_step="write the tensor of one image, without a header",
        )
