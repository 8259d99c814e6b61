"""What an app can get wrong between a picture and its tensor, as variants of the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from phoneproof.core.contract import Crop, Filter, GeometryOp, ImageInput, Pad, Resize
from phoneproof.core.errors import ConfigError
from phoneproof.core.presets import CAFFE_MEAN_BGR, IMAGENET_MEAN, IMAGENET_STD
from phoneproof.pixels.geometry import GeometryPlan, PadStep, ResizeStep, plan_geometry
from phoneproof.pixels.image import image_traits, read_image

FILTERS: tuple[Filter, ...] = get_args(Filter)

PAD_COLORS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "black": (0, 0, 0),
        "114": (114, 114, 114),
        "127": (127, 127, 127),
        "128": (128, 128, 128),
        "white": (255, 255, 255),
        "ImageNet's mean colour": (124, 116, 104),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One way to decode the picture. `mistake` is empty for the contract's own way."""

    mistake: str
    rgb: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """One way to scale and place the picture; `mistakes` is empty for the contract's own."""

    mistakes: tuple[str, ...]
    plan: GeometryPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """One formula from pixel to value; `mistake` is empty for the contract's own.

    turned: mean and std are taken in the other channel order. With swapped channels each colour
    still meets its own mean, as where a finished tensor is swapped.
    """

    mistake: str
    spec: ImageInput
    in_file: bool
    turned: bool = False


def sources(path: Path, spec: ImageInput) -> Iterator[Source]:
    """The picture as the contract decodes it, and with orientation or profile handled otherwise."""
    yield Source(mistake="", rgb=read_image(path, spec))
    traits = image_traits(path)
    if traits.exif_rotated:
        follows = spec.orientation == "exif"
        mistake = "EXIF rotation not applied" if follows else "EXIF rotation applied"
        other = msgspec.structs.replace(spec, orientation="ignore" if follows else "exif")
        yield Source(mistake=mistake, rgb=read_image(path, other))
    if traits.has_icc_other_than_srgb:
        stored = spec.color_profile == "as_stored"
        mistake = "colours converted to sRGB" if stored else "colour profile not converted to sRGB"
        other = msgspec.structs.replace(spec, color_profile="srgb" if stored else "as_stored")
        yield Source(mistake=mistake, rgb=read_image(path, other))


def geometries(spec: ImageInput, height: int, width: int) -> list[Geometry]:
    """The contract's plan first, then those of other recipes; equal plans only once."""
    found: list[Geometry] = []
    for geometry in _geometries(spec, height, width):
        if all(geometry.plan.steps != earlier.plan.steps for earlier in found):
            found.append(geometry)
    return found


def with_filter(plan: GeometryPlan, name: Filter) -> GeometryPlan:
    """The same plan with another resize filter."""
    steps = tuple(
        replace(step, filter=name) if isinstance(step, ResizeStep) else step for step in plan.steps
    )
    return replace(plan, steps=steps)


def _geometries(spec: ImageInput, height: int, width: int) -> Iterator[Geometry]:
    for mistakes, operations in _recipes(spec):
        try:
            plan = plan_geometry(_spec_with(spec, operations), height, width)
        except ConfigError:
            if not mistakes:
                raise
            continue
        yield Geometry(mistakes=mistakes, plan=plan)
        if not mistakes:
            yield from _displaced(Geometry(mistakes=mistakes, plan=plan))


def _spec_with(spec: ImageInput, operations: tuple[GeometryOp, ...]) -> ImageInput:
    return msgspec.structs.replace(spec, geometry=operations)


_Recipe = tuple[tuple[str, ...], tuple[GeometryOp, ...]]


def _recipes(spec: ImageInput) -> Iterator[_Recipe]:
    yield (), spec.geometry
    yield from _pad_recipes(spec)
    yield from _rounded_recipes(spec)
    yield from _crop_recipes(spec)
    yield from _other_fits(spec)


def _pad_recipes(spec: ImageInput) -> Iterator[_Recipe]:
    """The pad at the other anchor, in other colours, and both."""
    pads = [op for op in spec.geometry if isinstance(op, Pad)]
    if not pads:
        return
    pad = pads[-1]
    anchors = (pad.anchor, "top_left" if pad.anchor == "center" else "center")
    colors = {"": pad.value, **_colors(spec)}
    for anchor in anchors:
        for name, value in colors.items():
            moved = () if anchor == pad.anchor else (_ANCHORED[anchor],)
            colored = (f"padded with {name}",) if name and value != pad.value else ()
            changed = msgspec.structs.replace(pad, anchor=anchor, value=value)
            operations = tuple(changed if op is pad else op for op in spec.geometry)
            if moved or colored:
                yield (*moved, *colored), operations


_ANCHORED: Mapping[str, str] = MappingProxyType(
    {
        "center": "padded on both sides instead of at the end",
        "top_left": "padded at the end only, the picture at the top left",
    }
)


def _colors(spec: ImageInput) -> dict[str, tuple[int, ...]]:
    if spec.channels == "gray":
        return {name: value[:1] for name, value in PAD_COLORS.items()}
    if spec.channels == "bgr":
        return {name: value[::-1] for name, value in PAD_COLORS.items()}
    return dict(PAD_COLORS)


def _rounded_recipes(spec: ImageInput) -> Iterator[_Recipe]:
    """Sides rounded by another rule: the picture is one pixel larger or smaller."""
    for rounding in ("half_even", "floor", "ceil"):
        operations = tuple(
            msgspec.structs.replace(op, round=rounding) if isinstance(op, Resize) else op
            for op in spec.geometry
        )
        if operations != spec.geometry:
            yield (f"off by one: the scaled side rounded {_ROUNDED[rounding]}",), operations


_ROUNDED: Mapping[str, str] = MappingProxyType(
    {"half_even": "to the nearest", "floor": "down", "ceil": "up"}
)


def _crop_recipes(spec: ImageInput) -> Iterator[_Recipe]:
    without = tuple(op for op in spec.geometry if not isinstance(op, Crop))
    if without != spec.geometry:
        yield ("the crop left out",), without


def _other_fits(spec: ImageInput) -> Iterator[_Recipe]:
    """Stretched, letterboxed and centre-cropped, whichever the contract does not say."""
    size, method = spec.size, _filter_of(spec)
    fitted = Resize(to="contain", size=size, filter=method)
    yield ("stretched",), (Resize(to="stretch", size=size, filter=method),)
    for name, color in _colors(spec).items():
        pad = Pad(size=size, value=color)
        top_left = Pad(size=size, value=color, anchor="top_left")
        yield (f"letterboxed, padded with {name}",), (fitted, pad)
        yield (f"letterboxed at the top left, padded with {name}",), (fitted, top_left)
    covering = Resize(to="cover", size=size, round="floor", filter=method)
    yield ("short side fitted and the middle cut out",), (covering, Crop(size=size))
    square = Crop(aspect=size[1] / size[0])
    stretched = Resize(to="stretch", size=size, filter=method)
    yield ("the middle cut out, then scaled",), (square, stretched)


def _filter_of(spec: ImageInput) -> Filter:
    resizes = [op.filter for op in spec.geometry if isinstance(op, Resize)]
    if resizes:
        return resizes[0]
    return "opencv.linear" if spec.values == "uint8" else "tensorflow.bilinear_half_pixel"


def _displaced(geometry: Geometry) -> Iterator[Geometry]:
    """The padded picture one pixel away from its place, in each direction there is room for."""
    pad = geometry.plan.steps[-1] if geometry.plan.steps else None
    before = geometry.plan.steps[-2] if len(geometry.plan.steps) > 1 else None
    if not isinstance(pad, PadStep) or before is None:
        return
    for down, right in ((1, 0), (0, 1), (1, 1), (-1, 0), (0, -1)):
        top, left = pad.top + down, pad.left + right
        fits_y = 0 <= top <= pad.height - before.height
        if fits_y and 0 <= left <= pad.width - before.width:
            moved = replace(pad, top=top, left=left)
            name = f"off by one: the picture placed {_direction(down, right)}"
            plan = replace(geometry.plan, steps=(*geometry.plan.steps[:-1], moved))
            yield Geometry(mistakes=(*geometry.mistakes, name), plan=plan)


def _direction(down: int, right: int) -> str:
    words = {(1, 0): "1 pixel too low", (-1, 0): "1 pixel too high"}
    words |= {(0, 1): "1 pixel too far right", (0, -1): "1 pixel too far left"}
    return words.get((down, right), "1 pixel too low and too far right")


def scalings(spec: ImageInput, *, in_file: bool) -> list[Scaling]:
    """The contract's formula first, then the usual ones, each named against it.

    Args:
        spec: the contract's image input.
        in_file: the model normalises; the contract's values are the pixels themselves.
    """
    known = list(_formulas(spec))
    if in_file:
        own = msgspec.structs.replace(spec, **_numbers(spec, 1.0, (0.0,) * 3, (1.0,) * 3))
    else:
        own = spec
    own_name = next((name for name, other in known if _same(other, own)), "the contract's formula")
    found = [Scaling(mistake="", spec=spec, in_file=in_file)]
    for name, other in known:
        if not _same(other, own):
            found.append(
                Scaling(mistake=f"{name} instead of {own_name}", spec=other, in_file=False)
            )
    return [*found, *_turned(found)]


def _turned(scalings: list[Scaling]) -> Iterator[Scaling]:
    """The formulas whose channels differ, with mean and std the other way round."""
    for one in scalings:
        mean, std = one.spec.mean[::-1], one.spec.std[::-1]
        if not one.in_file and (mean, std) != (one.spec.mean, one.spec.std):
            spec = msgspec.structs.replace(one.spec, mean=mean, std=std)
            yield replace(one, spec=spec, turned=True)


def _formulas(spec: ImageInput) -> Iterator[tuple[str, ImageInput]]:
    zero, one = (0.0,) * 3, (1.0,) * 3
    table = (
        ("0..255 unscaled", 1.0, zero, one),
        ("/255", 1 / 255, zero, one),
        ("/127.5-1", 1 / 127.5, one, one),
        ("/256", 1 / 256, zero, one),
        ("/128-1", 1 / 128, one, one),
        ("(p-127)/128", 1.0, (127.0,) * 3, (128.0,) * 3),
        ("/255 with ImageNet's mean and std", 1 / 255, IMAGENET_MEAN, IMAGENET_STD),
        ("0..255 minus ImageNet's mean", 1.0, CAFFE_MEAN_BGR[::-1], one),
    )
    for name, scale, mean, std in table:
        yield name, msgspec.structs.replace(spec, **_numbers(spec, scale, mean, std))


def _numbers(
    spec: ImageInput, scale: float, mean: tuple[float, ...], std: tuple[float, ...]
) -> Mapping[str, float | tuple[float, ...]]:
    """Keyword arguments of `msgspec.structs.replace`: red first, or as the contract orders."""
    if spec.channels == "bgr":
        mean, std = mean[::-1], std[::-1]
    count = spec.channel_count
    return {"scale": scale, "mean": mean[:count], "std": std[:count]}


def _same(one: ImageInput, other: ImageInput) -> bool:
    """Whether two formulas agree on 0 and 255 within a hundredth of a pixel value."""
    return all(
        np.allclose(_values_at(one, p), _values_at(other, p), rtol=0, atol=_hundredth(other))
        for p in (0.0, 255.0)
    )


def _values_at(spec: ImageInput, pixel: float) -> NDArray[np.float64]:
    mean = np.array(spec.mean, dtype=np.float64)
    values: NDArray[np.float64] = (pixel * spec.scale - mean) / np.array(spec.std)
    return values


def _hundredth(spec: ImageInput) -> float:
    return 0.01 * spec.scale / max(spec.std)
