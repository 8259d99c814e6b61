"""The usual formulas from pixel to tensor value, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import msgspec

from phoneproof.core.contract import GrayFormula, ImageInput
from phoneproof.core.presets import CAFFE_MEAN_BGR, IMAGENET_MEAN, IMAGENET_STD
from phoneproof.core.tensors import TensorSpec

_Three = tuple[float, float, float]
_ZERO: _Three = (0.0, 0.0, 0.0)
_ONE: _Three = (1.0, 1.0, 1.0)

CIFAR_MEAN: Final[_Three] = (0.4914, 0.4822, 0.4465)
CIFAR_STD: Final[_Three] = (0.2470, 0.2435, 0.2616)
"""Mean and deviation of CIFAR-10's training pixels / 255, RGB."""

CLIP_MEAN: Final[_Three] = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Final[_Three] = (0.26862954, 0.26130258, 0.27577711)
"""Mean and deviation that CLIP's authors feed their models with, RGB."""

MNIST_MEAN: Final = 0.1307
MNIST_STD: Final = 0.3081
"""Mean and deviation of MNIST's training pixels / 255."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Formula:
    """``(p * scale - mean) / std``; mean and std in RGB order.

    like: the formula that this one is a small variation of; such ones are only tried beside it.
    """

    name: str
    scale: float
    mean: _Three = _ZERO
    std: _Three = _ONE
    like: str = ""


FORMULAS: Final = (
    Formula(name="0..1", scale=1 / 255),
    Formula(name="-1..1", scale=1 / 127.5, mean=_ONE),
    Formula(name="0..255", scale=1.0),
    Formula(name="ImageNet mean and std", scale=1 / 255, mean=IMAGENET_MEAN, std=IMAGENET_STD),
    Formula(name="0..255 less Caffe's mean", scale=1.0, mean=CAFFE_MEAN_BGR[::-1]),
    Formula(
        name="ImageNet mean without std",
        scale=1 / 255,
        mean=IMAGENET_MEAN,
        like="ImageNet mean and std",
    ),
    Formula(
        name="CIFAR mean and std",
        scale=1 / 255,
        mean=CIFAR_MEAN,
        std=CIFAR_STD,
        like="ImageNet mean and std",
    ),
    Formula(
        name="CLIP mean and std",
        scale=1 / 255,
        mean=CLIP_MEAN,
        std=CLIP_STD,
        like="ImageNet mean and std",
    ),
    Formula(name="(p - 127.5) / 128", scale=1.0, mean=(127.5,) * 3, std=(128.0,) * 3, like="-1..1"),
    Formula(name="(p - 127) / 128", scale=1.0, mean=(127.0,) * 3, std=(128.0,) * 3, like="-1..1"),
    Formula(name="p / 256", scale=1 / 256, like="0..1"),
)

GRAY_FORMULAS: Final = (
    Formula(name="0..1", scale=1 / 255),
    Formula(name="-1..1", scale=1 / 127.5, mean=_ONE),
    Formula(name="0..255", scale=1.0),
    Formula(name="MNIST mean and std", scale=1 / 255, mean=(MNIST_MEAN,) * 3, std=(MNIST_STD,) * 3),
)

_OTHER_GRAY: Final[Mapping[GrayFormula, GrayFormula]] = MappingProxyType(
    {"pillow": "opencv", "opencv": "tensorflow", "tensorflow": "pillow"}
)

_BEYOND: Final = 0.02
"""Share of a quantised tensor's range by which a formula may leave it: 0..255 at scale 1/128 and
zero point 128 ends at .992 where ``x / 127.5 - 1`` ends at 1."""

_COVERED: Final = 0.75
"""Share of a quantised tensor's range that pictures use at least: less wastes two bits."""


def formulas(image: ImageInput) -> tuple[Formula, ...]:
    """The formulas for the image's number of channels."""
    return GRAY_FORMULAS if image.channels == "gray" else FORMULAS


def with_formula(image: ImageInput, formula: Formula) -> ImageInput:
    """The image input with another formula; each colour keeps its own mean and std."""
    mean, std = formula.mean, formula.std
    if image.channels == "bgr":
        mean, std = mean[::-1], std[::-1]
    count = image.channel_count
    return msgspec.structs.replace(image, scale=formula.scale, mean=mean[:count], std=std[:count])


def other_grays(gray: GrayFormula) -> tuple[GrayFormula, ...]:
    """The gray formulas of the other libraries."""
    first = _OTHER_GRAY[gray]
    return first, _OTHER_GRAY[first]


def ends(image: ImageInput) -> tuple[tuple[float, float], ...]:
    """What pixel values 0 and 255 become, a pair per channel, to 4 digits."""
    return tuple(
        (round(-mean / std, 4), round((255 * image.scale - mean) / std, 4))
        for mean, std in zip(image.mean, image.std, strict=True)
    )


def formula_name(image: ImageInput) -> str:
    """The name of the image input's formula, or its numbers."""
    for formula in formulas(image):
        if ends(with_formula(image, formula)) == ends(image):
            return formula.name
    mean = " ".join(f"{value:.6g}" for value in image.mean)
    std = " ".join(f"{value:.6g}" for value in image.std)
    return f"(p * {image.scale:.6g} - [{mean}]) / [{std}]"


def fits_tensor(image: ImageInput, tensor: TensorSpec) -> bool:
    """Whether a quantised input tensor can hold the formula's values; a float one holds any."""
    if tensor.quant is None or tensor.dtype not in ("uint8", "int8"):
        return True
    least, most = (0, 255) if tensor.dtype == "uint8" else (-128, 127)
    low = (least - tensor.quant.zero_point) * tensor.quant.scale
    high = (most - tensor.quant.zero_point) * tensor.quant.scale
    span = high - low
    first = min(low_end for low_end, _ in ends(image))
    last = max(high_end for _, high_end in ends(image))
    inside = first >= low - _BEYOND * span and last <= high + _BEYOND * span
    return inside and last - first >= _COVERED * span
