"""From the contract's geometry to whole numbers: what is cut, scaled and filled for one image size.

The rounding rules are the ones of the frameworks whose models are converted:

- contain: ``gain = min(H / h, W / w)``, the other side is ``round(side * gain)``; quotient first,
  then product, as Ultralytics (half_even) and YOLOX (floor) compute it.
- cover: the other side is ``round(target * long / short)``; product first, then quotient, as
  torchvision's ``Resize(int)`` computes it (floor).
- a centred crop starts at ``round((side - cut) / 2)``, torchvision's ``CenterCrop`` (half_even).
- a centred crop of a fraction leaves out ``round((side - side * fraction) / 2)`` pixels at both
  ends, ``tf.image.central_crop`` (floor).
- a centred pad puts ``missing // 2`` pixels before the image; the spare one goes to the end
  (Ultralytics' LetterBox).

All quotients and products are float64. Sides never shrink below one pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from phoneproof.core.contract import Crop, Filter, GeometryOp, ImageInput, Pad, Resize, Size
from phoneproof.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class CropStep:
    """Keep rows [top, top + height) and columns [left, left + width)."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ResizeStep:
    """Scale to height x width. `gain_y`, `gain_x`: the float64 ratios coordinates scale with.

    For contain and cover both are the one ratio of the formula, not ``new_side / side``.
    """

    height: int
    width: int
    gain_y: float
    gain_x: float
    filter: Filter


@dataclass(frozen=True, kw_only=True, slots=True)
class PadStep:
    """Place the image at (top, left) of a height x width canvas filled with `value`."""

    top: int
    left: int
    height: int
    width: int
    value: tuple[int, ...]


GeometryStep = CropStep | ResizeStep | PadStep


@dataclass(frozen=True, kw_only=True, slots=True)
class GeometryPlan:
    """The geometry of one image size in whole numbers.

    Attributes:
        original: [height, width] of the oriented original.
        steps: crops, at most one resize, pads, in the order they are applied. Steps that would
            change nothing are left out, except a resize, which is always kept.
        size: [height, width] of the tensor.
        gain_y, gain_x: tensor pixels per original pixel.
        top, left: where the original's pixel edge (0, 0) lies in the tensor, in tensor pixels;
            negative where a crop cuts it off. A float because a crop before the resize is scaled.
    """

    original: Size
    steps: tuple[GeometryStep, ...]
    size: Size
    gain_y: float
    gain_x: float
    top: float
    left: float

    @property
    def resize(self) -> ResizeStep | None:
        """The one resize, if there is one."""
        return next((step for step in self.steps if isinstance(step, ResizeStep)), None)


def plan_geometry(spec: ImageInput, height: int, width: int) -> GeometryPlan:
    """Follow the contract's geometry for an oriented original of `height` x `width` pixels.

    Raises:
        ConfigError: a crop or pad does not fit, or the last step does not end at ``spec.size``;
            the message names the step.
    """
    steps: list[GeometryStep] = []
    size: Size = (height, width)
    for number, op in enumerate(spec.geometry, start=1):
        step = _step(op, number, size)
        if isinstance(step, ResizeStep) or (step.height, step.width) != size:
            steps.append(step)
        size = (step.height, step.width)
    if size != spec.size:
        raise _wrong_size(spec, (height, width), size)
    gain_y, top = _axis(steps, "y")
    gain_x, left = _axis(steps, "x")
    return GeometryPlan(
        original=(height, width),
        steps=tuple(steps),
        size=size,
        gain_y=gain_y,
        gain_x=gain_x,
        top=top,
        left=left,
    )


def _step(op: GeometryOp, number: int, size: Size) -> GeometryStep:
    match op:
        case Crop():
            return _crop(op, number, size)
        case Resize():
            return _resize(op, size)
        case Pad():
            return _pad(op, number, size)


def _crop(op: Crop, number: int, size: Size) -> CropStep:
    height, width = _crop_size(op, size)
    if height > size[0] or width > size[1]:
        raise ConfigError(
            f"geometry step {number} (crop) cuts more than the image has",
            found=f"a crop of {height}x{width} from an image of {size[0]}x{size[1]}",
            next_step="put a resize to cover, or a pad, before the crop",
        )
    if op.anchor == "top_left":
        return CropStep(top=0, left=0, height=height, width=width)
    top = _rounded((size[0] - height) / 2, op.round)
    left = _rounded((size[1] - width) / 2, op.round)
    return CropStep(top=top, left=left, height=height, width=width)


def _crop_size(op: Crop, size: Size) -> Size:
    height, width = size
    if op.size is not None:
        return op.size
    if op.fraction is not None:
        return _fraction(op, height), _fraction(op, width)
    assert op.aspect is not None  # the contract's type demands exactly one of the three
    if width > height * op.aspect:
        return height, min(width, max(1, _rounded(height * op.aspect, op.round)))
    return min(height, max(1, _rounded(width / op.aspect, op.round))), width


def _fraction(op: Crop, side: int) -> int:
    assert op.fraction is not None
    if op.anchor == "top_left":
        return max(1, _rounded(side * op.fraction, op.round))
    return max(1, side - 2 * _rounded((side - side * op.fraction) / 2, op.round))


def _resize(op: Resize, size: Size) -> ResizeStep:
    height, width = size
    target_h, target_w = op.size
    if not op.upscale and height <= target_h and width <= target_w:
        return ResizeStep(height=height, width=width, gain_y=1.0, gain_x=1.0, filter=op.filter)
    gain_y, gain_x = target_h / height, target_w / width
    if op.to == "stretch" or gain_y == gain_x:
        return ResizeStep(
            height=target_h, width=target_w, gain_y=gain_y, gain_x=gain_x, filter=op.filter
        )
    height_fits = (gain_y < gain_x) == (op.to == "contain")
    gain = gain_y if height_fits else gain_x
    if height_fits:
        free = width * gain if op.to == "contain" else target_h * width / height
        new = (target_h, max(1, _rounded(free, op.round)))
    else:
        free = height * gain if op.to == "contain" else target_w * height / width
        new = (max(1, _rounded(free, op.round)), target_w)
    return ResizeStep(height=new[0], width=new[1], gain_y=gain, gain_x=gain, filter=op.filter)


def _pad(op: Pad, number: int, size: Size) -> PadStep:
    missing = (op.size[0] - size[0], op.size[1] - size[1])
    if min(missing) < 0:
        raise ConfigError(
            f"geometry step {number} (pad) is smaller than the image",
            found=f"a pad to {op.size[0]}x{op.size[1]} of an image of {size[0]}x{size[1]}",
            next_step="put a resize to contain, or a crop, before the pad",
        )
    top, left = (0, 0) if op.anchor == "top_left" else (missing[0] // 2, missing[1] // 2)
    return PadStep(top=top, left=left, height=op.size[0], width=op.size[1], value=op.value)


def _rounded(value: float, rule: str) -> int:
    if rule == "floor":
        return math.floor(value)
    if rule == "ceil":
        return math.ceil(value)
    return round(value)


def _axis(steps: list[GeometryStep], axis: str) -> tuple[float, float]:
    """Gain and offset of one axis: ``tensor = original * gain + offset``."""
    gain, offset = 1.0, 0.0
    for step in steps:
        match step:
            case CropStep():
                offset -= step.top if axis == "y" else step.left
            case PadStep():
                offset += step.top if axis == "y" else step.left
            case ResizeStep():
                gain = step.gain_y if axis == "y" else step.gain_x
                offset *= gain
    return gain, offset


def _wrong_size(spec: ImageInput, original: Size, size: Size) -> ConfigError:
    last = spec.geometry[-1].__struct_config__.tag if spec.geometry else "no step at all"
    return ConfigError(
        f"the geometry ends at {size[0]}x{size[1]}, the input is {spec.size[0]}x{spec.size[1]}",
        found=f"an image of {original[0]}x{original[1]}; "
        f"step {len(spec.geometry)} ({last}) gave {size[0]}x{size[1]}",
        next_step=f"end the geometry with a pad, crop or stretch to {list(spec.size)}",
    )
