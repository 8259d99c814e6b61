"""geometry.json: the whole numbers of crops, resizes and pads for one picture size."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from phoneproof.core.contract import (
    Anchor,
    Crop,
    GeometryOp,
    ImageInput,
    Pad,
    Resize,
    Rounding,
    Size,
)
from phoneproof.core.errors import ConfigError
from phoneproof.core.presets import PRESETS, preset_input
from phoneproof.pixels.geometry import CropStep, GeometryStep, ResizeStep, plan_geometry
from tests.vectors.inputs import letterbox, spec, stretch, with_size
from tests.vectors.types import CropRecord, Flag, GeometryCase, PadRecord, ResizeRecord

_ROUNDINGS: Final[tuple[Rounding, ...]] = ("half_even", "floor", "ceil")
_CROP_ROUNDINGS: Final[tuple[Literal["half_even", "floor"], ...]] = ("half_even", "floor")
_ANCHORS: Final[tuple[Anchor, ...]] = ("center", "top_left")
_SIZES: Final[tuple[Size, ...]] = ((5, 20), (20, 5), (333, 500), (7, 3000), (1, 1))
"""5 x 20 into 10 x 10 rounds 2.5; 7 x 3000 shrinks to less than one pixel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Named:
    name: str
    comment: str
    flags: tuple[Flag, ...]
    input: ImageInput
    sizes: tuple[Size, ...]


def cases() -> Iterator[GeometryCase]:
    """Every op with every rounding, the presets, chains, and plans that are refused."""
    groups = (_resizes(), _crops(), _pads(), _presets(), _chains(), _refused())
    for group in itertools.chain.from_iterable(groups):
        for size in group.sizes:
            yield _case(group, size)


def _resizes() -> Iterator[_Named]:
    target = (10, 10)
    for rounding in _ROUNDINGS:
        fit = Resize(to="contain", size=target, round=rounding)
        fill = Resize(to="cover", size=target, round=rounding)
        cut = Crop(size=target)
        for name, ops in (("contain", (fit, Pad(size=target))), ("cover", (fill, cut))):
            yield _Named(
                name=f"{name}-{rounding}",
                comment=f"{name}, sides rounded {rounding}",
                flags=("odd_pad",) if name == "contain" else ("crop",),
                input=spec(target, *ops),
                sizes=_SIZES,
            )
    yield _Named(
        name="stretch",
        comment="the size itself, two gains",
        flags=(),
        input=spec((31, 17), stretch((31, 17))),
        sizes=(*_SIZES, (31, 17)),
    )
    small = Resize(to="contain", size=(64, 48), upscale=False)
    yield _Named(
        name="contain-no-upscale",
        comment="what fits is left alone; the resize step stays in the plan with gain 1",
        flags=("odd_pad",),
        input=spec((64, 48), small, Pad(size=(64, 48))),
        sizes=((20, 31), (64, 48), (65, 20), (64, 49), (1, 1)),
    )


def _crops() -> Iterator[_Named]:
    to = stretch((16, 16))
    for rounding, anchor in itertools.product(_CROP_ROUNDINGS, _ANCHORS):
        kinds = {
            "fraction": Crop(fraction=0.875, round=rounding, anchor=anchor),
            "third": Crop(fraction=1 / 3, round=rounding, anchor=anchor),
            "square": Crop(aspect=1.0, round=rounding, anchor=anchor),
            "wide": Crop(aspect=16 / 9, round=rounding, anchor=anchor),
        }
        for name, crop in kinds.items():
            yield _Named(
                name=f"crop-{name}-{anchor}-{rounding}",
                comment=f"crop by {name}, anchor {anchor}, rounded {rounding}",
                flags=("crop",),
                input=spec((16, 16), crop, to),
                sizes=((375, 500), (11, 6), (1, 1)),
            )
        yield _Named(
            name=f"crop-size-{anchor}-{rounding}",
            comment="crop to a size: odd remainders",
            flags=("crop",),
            input=spec((4, 4), Crop(size=(4, 4), round=rounding, anchor=anchor)),
            sizes=((4, 4), (5, 6), (7, 9), (9, 11)),
        )


def _pads() -> Iterator[_Named]:
    for anchor in _ANCHORS:
        yield _Named(
            name=f"pad-{anchor}",
            comment="a pad alone; the spare pixel goes to the end",
            flags=("odd_pad",),
            input=spec((9, 8), Pad(size=(9, 8), anchor=anchor, value=(1, 2, 3))),
            sizes=((9, 8), (8, 8), (4, 3), (1, 1)),
        )


def _presets() -> Iterator[_Named]:
    for name in PRESETS:
        yield _Named(
            name=f"preset-{name}",
            comment=f"the geometry of the preset {name} at 224",
            flags=(),
            input=preset_input(name, (224, 224)),
            sizes=((1080, 1920), (375, 500), (97, 31)),
        )
    yield _Named(
        name="preset-ultralytics.detect-640x352",
        comment="a letterbox that is no square",
        flags=("odd_pad",),
        input=preset_input("ultralytics.detect", (640, 352)),
        sizes=((480, 640), (1080, 1920), (481, 640), (3000, 7)),
    )


def _chains() -> Iterator[_Named]:
    yield _Named(
        name="crop-resize-crop-pad",
        comment="offsets on both sides of the resize",
        flags=("crop", "odd_pad"),
        input=spec(
            (61, 63),
            Crop(fraction=0.9),
            Resize(to="cover", size=(60, 60), round="floor"),
            Crop(size=(58, 60)),
            Pad(size=(61, 63)),
        ),
        sizes=((201, 333), (333, 201), (77, 77)),
    )
    yield _Named(
        name="pad-crop-without-resize",
        comment="no resize: gains are 1",
        flags=("crop", "odd_pad"),
        input=spec((16, 16), Pad(size=(30, 31)), Crop(size=(16, 16), anchor="top_left")),
        sizes=((13, 17), (30, 31)),
    )
    yield _Named(
        name="no-steps",
        comment="the picture as it is",
        flags=("identity",),
        input=spec((12, 13)),
        sizes=((12, 13),),
    )


def _refused() -> Iterator[_Named]:
    refused: dict[str, tuple[GeometryOp, ...]] = {
        "crop-too-large": (Crop(size=(64, 64)),),
        "pad-too-small": (Pad(size=(8, 8)), Crop(size=(8, 8))),
        "ends-elsewhere": (Resize(to="contain", size=(64, 64)),),
        "no-steps-other-size": (),
    }
    for name, ops in refused.items():
        yield _Named(
            name=f"refused-{name}",
            comment="the geometry does not fit this picture",
            flags=("error",),
            input=spec((64, 64), *ops),
            sizes=((10, 20),),
        )
    yield _Named(
        name="refused-other-size",
        comment="the last step does not end at the input's size",
        flags=("error",),
        input=with_size(spec((64, 64), *letterbox((64, 64))), (32, 64)),
        sizes=((64, 64),),
    )


def _case(named: _Named, size: Size) -> GeometryCase:
    height, width = size
    asked = GeometryCase(
        id=f"geometry-{named.name}-{height}x{width}",
        comment=named.comment,
        flags=(*named.flags, *(("one_pixel",) if 1 in size else ())),
        input=named.input,
        height=height,
        width=width,
    )
    made = answered(asked)
    if made.error != ("error" in made.flags):
        raise ValueError(f"{made.id} is refused, or is not")
    return made


def answered(case: GeometryCase) -> GeometryCase:
    """The case with the reference's plan, whatever it holds now."""
    try:
        plan = plan_geometry(case.input, case.height, case.width)
    except ConfigError:
        return GeometryCase(
            id=case.id,
            comment=case.comment,
            flags=case.flags,
            input=case.input,
            height=case.height,
            width=case.width,
            error=True,
        )
    return msgspec.structs.replace(
        case,
        steps=tuple(_record(step) for step in plan.steps),
        size=plan.size,
        gain_y=plan.gain_y,
        gain_x=plan.gain_x,
        top=plan.top,
        left=plan.left,
        error=False,
    )


def _record(step: GeometryStep) -> CropRecord | ResizeRecord | PadRecord:
    if isinstance(step, CropStep):
        return CropRecord(top=step.top, left=step.left, height=step.height, width=step.width)
    if isinstance(step, ResizeStep):
        return ResizeRecord(
            height=step.height,
            width=step.width,
            gain_y=step.gain_y,
            gain_x=step.gain_x,
            filter=step.filter,
        )
    return PadRecord(
        top=step.top, left=step.left, height=step.height, width=step.width, value=step.value
    )
