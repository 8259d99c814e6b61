"""``python -m tests.vectors.random_cases N SEED FILE``: N tensors of sizes that no file lists.

The file has the form of tensor.json: the Kotlin and the Swift suite read it where
PHONEPROOF_VECTORS_EXTRA names it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Final, Literal, get_args

from phoneproof.core.binding import DType, InputBinding, Layout, Quant
from phoneproof.core.contract import (
    Anchor,
    Channels,
    Crop,
    Filter,
    GeometryOp,
    GrayFormula,
    ImageInput,
    Pad,
    Resize,
    Rounding,
    Size,
)
from phoneproof.core.errors import ConfigError
from phoneproof.core.json_format import parse
from phoneproof.core.presets import IMAGENET_MEAN, IMAGENET_STD
from tests.vectors.documents import ResizeFile, TensorFile
from tests.vectors.files import FOLDER, content
from tests.vectors.inputs import bound, gray_spec, spec
from tests.vectors.tensor import Chain, tensor_case
from tests.vectors.types import TensorCase

_FILTERS: Final[tuple[Filter, ...]] = get_args(Filter)
_GRAYS: Final[tuple[GrayFormula, ...]] = get_args(GrayFormula)
_ANCHORS: Final[tuple[Anchor, ...]] = get_args(Anchor)
_LAYOUTS: Final[tuple[Layout, ...]] = get_args(Layout)
_ROUNDINGS: Final[tuple[Rounding, ...]] = get_args(Rounding)
_CHANNELS: Final[tuple[Channels, ...]] = ("rgb", "rgb", "bgr", "gray")
_DTYPES: Final[tuple[DType, ...]] = ("float32", "float32", "float16", "int8", "uint8", "int16")
_QUANT: Final[dict[DType, Quant]] = {
    "int8": Quant(scale=0.018658, zero_point=-14),
    "uint8": Quant(scale=0.018658, zero_point=114),
    "int16": Quant(scale=8.1e-05, zero_point=0),
}
_SMALL, _MIDDLE, _LONG = 6, 160, 700


def cases(count: int, seed: int) -> Iterator[TensorCase]:
    """`count` cases; the same for the same seed."""
    random = Random(seed)
    listed = listed_sizes()
    made = 0
    while made < count:
        size = (_side(random), _side(random))
        if size in listed:
            continue
        image = _input(random)
        chain = Chain(
            name=f"random-{seed}-{made}",
            comment="drawn at random",
            flags=("random",),
            input=image,
            binding=_binding(random, image),
            sizes=(size,),
        )
        try:
            case = tensor_case(chain, size, seed=random.randrange(1, 2**16))
        except ConfigError:
            continue  # a crop larger than this picture, a ceil that is a pixel too large
        made += 1
        yield case


def listed_sizes() -> set[Size]:
    """Heights and widths of the pictures in the published tensor.json and resize.json."""
    tensors = parse((FOLDER / "tensor.json").read_bytes(), TensorFile, what="tensor.json")
    resizes = parse((FOLDER / "resize.json").read_bytes(), ResizeFile, what="resize.json")
    sizes = {(case.picture.height, case.picture.width) for case in tensors.cases}
    return sizes | {(case.picture.height, case.picture.width) for case in resizes.cases}


def _side(random: Random) -> int:
    """Mostly some hundred pixels; one in five is tiny, one in ten is long."""
    draw = random.random()
    if draw < 0.2:
        return random.randrange(1, _SMALL)
    return random.randrange(_SMALL, _LONG if draw > 0.9 else _MIDDLE)


def _input(random: Random) -> ImageInput:
    size = (random.randrange(1, _MIDDLE // 2), random.randrange(1, _MIDDLE // 2))
    channels = random.choice(_CHANNELS)
    value = tuple(random.randrange(256) for _ in range(1 if channels == "gray" else 3))
    geometry = random.choice(_GEOMETRIES)(random, size, value)
    if channels == "gray":
        return gray_spec(size, *geometry, gray=random.choice(_GRAYS), mean=0.1307, std=0.3081)
    return spec(size, *geometry, channels=channels, mean=IMAGENET_MEAN, std=IMAGENET_STD)


def _binding(random: Random, image: ImageInput) -> InputBinding:
    dtype = random.choice(_DTYPES)
    in_file = dtype in ("float32", "uint8") and random.random() < 0.2
    quant = None if in_file else _QUANT.get(dtype)
    return bound(image, random.choice(_LAYOUTS), dtype, quant, in_file=in_file)


_Geometry = Callable[[Random, Size, tuple[int, ...]], tuple[GeometryOp, ...]]


def _letterbox(random: Random, size: Size, value: tuple[int, ...]) -> tuple[GeometryOp, ...]:
    fit = Resize(
        to="contain",
        size=size,
        round=random.choice(_ROUNDINGS),
        upscale=random.random() < 0.8,
        filter=random.choice(_FILTERS),
    )
    return fit, Pad(size=size, anchor=random.choice(_ANCHORS), value=value)


def _cover(random: Random, size: Size, value: tuple[int, ...]) -> tuple[GeometryOp, ...]:
    """To a size some pixels larger, then the middle: at most eight, or nothing."""
    around = (size[0] + random.randrange(9), size[1] + random.randrange(9))
    fill = Resize(
        to="cover",
        size=around,
        round=random.choice(_ROUNDINGS),
        filter=random.choice(_FILTERS),
    )
    return fill, Crop(size=size, round=_crop_rounding(random))


def _fraction(random: Random, size: Size, value: tuple[int, ...]) -> tuple[GeometryOp, ...]:
    cut = Crop(fraction=random.uniform(0.1, 1.0), round=_crop_rounding(random))
    return cut, Resize(to="stretch", size=size, filter=random.choice(_FILTERS))


def _aspect(random: Random, size: Size, value: tuple[int, ...]) -> tuple[GeometryOp, ...]:
    cut = Crop(aspect=random.uniform(0.2, 5.0), round=_crop_rounding(random))
    return cut, Resize(to="stretch", size=size, filter=random.choice(_FILTERS))


def _stretch(random: Random, size: Size, value: tuple[int, ...]) -> tuple[GeometryOp, ...]:
    return (Resize(to="stretch", size=size, filter=random.choice(_FILTERS)),)


def _crop_rounding(random: Random) -> Literal["half_even", "floor"]:
    return "half_even" if random.random() < 0.5 else "floor"


_GEOMETRIES: Final[tuple[_Geometry, ...]] = (
    _letterbox,
    _letterbox,
    _cover,
    _fraction,
    _aspect,
    _stretch,
)


def main(arguments: list[str]) -> int:
    """Write the file; 2 where the arguments are not three."""
    if len(arguments) != 3 or not all(text.isdigit() for text in arguments[:2]):
        print("usage: python -m tests.vectors.random_cases N SEED FILE", file=sys.stderr)
        return 2
    path = Path(arguments[2])
    part = path.with_name(path.name + ".part")
    part.write_bytes(content("tensor", cases(int(arguments[0]), int(arguments[1]))))
    part.replace(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
