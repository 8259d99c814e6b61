"""tensor.json: a picture to the whole input tensor."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, get_args

from phoneproof.core.binding import InputBinding, Layout, Quant
from phoneproof.core.contract import Crop, Filter, GrayFormula, ImageInput, Pad, Resize, Size
from phoneproof.core.presets import (
    CAFFE_MEAN_BGR,
    IMAGENET_MEAN,
    IMAGENET_STD,
    PRESETS,
    preset_input,
)
from phoneproof.pixels.preprocess import Preprocessor
from tests.vectors.inputs import bound, gray_spec, letterbox, spec, stretch
from tests.vectors.pictures import Picture, pixels
from tests.vectors.types import Flag, TensorCase, digest

_INT8: Final = Quant(scale=0.018658, zero_point=-14)
_UINT8: Final = Quant(scale=0.007843137718737125, zero_point=127)
_INT16: Final = Quant(scale=8.1e-05, zero_point=0)
_COARSE: Final = Quant(scale=0.0123, zero_point=-90)
"""Both ends are clipped under it."""
_NAMES: Final[tuple[Filter, ...]] = get_args(Filter)
_GRAYS: Final[tuple[GrayFormula, ...]] = get_args(GrayFormula)
_LAYOUTS: Final[tuple[Layout, ...]] = ("NHWC", "NCHW")


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """One input and binding, and the pictures it is fed."""

    name: str
    comment: str
    flags: tuple[Flag, ...]
    input: ImageInput
    binding: InputBinding
    sizes: tuple[Size, ...]


def cases() -> Iterator[TensorCase]:
    """Presets, letterboxes by every filter, grey, dtypes, chains of steps, large pictures."""
    groups = (_presets(), _letterboxes(), _grays(), _dtypes(), _chains(), _large())
    for number, chain in enumerate(itertools.chain.from_iterable(groups)):
        for size in chain.sizes:
            yield tensor_case(chain, size, seed=number + 1)


def tensor_case(chain: Chain, size: Size, *, seed: int) -> TensorCase:
    """The case of one picture; even seeds are smooth pictures."""
    picture = Picture(
        kind="noise" if seed % 2 else "waves", seed=seed, height=size[0], width=size[1]
    )
    prepared = Preprocessor(chain.input, chain.binding).prepare(pixels(picture))
    one_pixel: tuple[Flag, ...] = ("one_pixel",) if 1 in size else ()
    return TensorCase(
        id=f"tensor-{chain.name}-{size[0]}x{size[1]}",
        comment=chain.comment,
        flags=(*chain.flags, *one_pixel),
        input=chain.input,
        binding=chain.binding,
        picture=picture,
        expected=digest(prepared.tensor),
    )


def _presets() -> Iterator[Chain]:
    for place, name in enumerate(PRESETS):
        image = preset_input(name, (64, 64))
        layout = _LAYOUTS[place % 2]
        yield Chain(
            name=f"preset-{name}",
            comment=f"the preset {name}",
            flags=_flags(image),
            input=image,
            binding=bound(image, layout),
            sizes=((90, 123), (40, 31), (1, 9)),
        )


def _letterboxes() -> Iterator[Chain]:
    """A pad value that differs a channel shows an order that is swapped after the pad."""
    for place, name in enumerate(_NAMES):
        size = (45, 52)
        image = spec(
            size,
            *letterbox(size, filter=name, value=(12, 114, 240)),
            channels="bgr" if place % 2 else "rgb",
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
        )
        yield Chain(
            name=f"letterbox-{name}",
            comment=f"letterbox by {name}; pad value in channel order",
            flags=("odd_pad", *_flags(image)),
            input=image,
            binding=bound(image, _LAYOUTS[place // 2 % 2]),
            sizes=((77, 130), (130, 33), (44, 52)),
        )


def _grays() -> Iterator[Chain]:
    names: tuple[Filter, ...] = ("opencv.linear", "pillow.bicubic", "tensorflow.bilinear_legacy")
    for formula, name in itertools.product(_GRAYS, names):
        size = (28, 30)
        image = gray_spec(
            size, *letterbox(size, filter=name, value=(7,)), gray=formula, mean=0.1307, std=0.3081
        )
        yield Chain(
            name=f"gray-{formula}-{name}",
            comment="grey before the geometry",
            flags=("odd_pad", *_flags(image)),
            input=image,
            binding=bound(image, "NCHW" if name == "opencv.linear" else "NHWC"),
            sizes=((61, 40),),
        )


def _dtypes() -> Iterator[Chain]:
    size = (33, 35)
    torch = spec(size, stretch(size), mean=IMAGENET_MEAN, std=IMAGENET_STD)
    keras = spec(size, stretch(size), scale=1 / 127.5, mean=(1.0, 1.0, 1.0))
    floats = spec(
        size, stretch(size, "tensorflow.bilinear_half_pixel"), scale=1 / 127.5, mean=(1.0, 1.0, 1.0)
    )
    caffe = spec(size, stretch(size), channels="bgr", scale=1.0, mean=CAFFE_MEAN_BGR)
    listed: dict[str, tuple[ImageInput, InputBinding]] = {
        "int8": (torch, bound(torch, "NHWC", "int8", _INT8)),
        "int8-nchw": (torch, bound(torch, "NCHW", "int8", _INT8)),
        "int8-clipped": (torch, bound(torch, "NHWC", "int8", _COARSE)),
        "int8-bgr": (caffe, bound(caffe, "NHWC", "int8", Quant(scale=1.0, zero_point=-14))),
        "uint8": (keras, bound(keras, "NHWC", "uint8", _UINT8)),
        "int16": (torch, bound(torch, "NHWC", "int16", _INT16)),
        "float16": (torch, bound(torch, "NCHW", "float16")),
        "float16-nhwc": (caffe, bound(caffe, "NHWC", "float16")),
        "pixels-uint8": (torch, bound(torch, "NHWC", "uint8", in_file=True)),
        "pixels-float32": (torch, bound(torch, "NCHW", "float32", in_file=True)),
        "pixels-bgr": (caffe, bound(caffe, "NCHW", "uint8", in_file=True)),
        "float-pixels-int8": (floats, bound(floats, "NHWC", "int8", _UINT8_AS_INT8)),
        "float-pixels-uint8": (floats, bound(floats, "NCHW", "uint8", _UINT8)),
        "float-pixels-float16": (floats, bound(floats, "NHWC", "float16")),
        "float-pixels-in-file": (floats, bound(floats, "NHWC", "uint8", in_file=True)),
        "float-pixels-as-they-are": (floats, bound(floats, "NCHW", "float32", in_file=True)),
    }
    for name, (image, binding) in listed.items():
        yield Chain(
            name=f"dtype-{name}",
            comment=f"{binding.dtype}, {binding.layout}",
            flags=(*_flags(image), *_dtype_flags(binding)),
            input=image,
            binding=binding,
            sizes=((50, 71), (33, 35)),
        )


_UINT8_AS_INT8: Final = Quant(scale=0.007843137718737125, zero_point=-1)


def _chains() -> Iterator[Chain]:
    listed: dict[str, ImageInput] = {
        "crop-resize-crop-pad": spec(
            (61, 63),
            Crop(fraction=0.9),
            Resize(to="cover", size=(60, 60), round="floor", filter="pillow.bilinear"),
            Crop(size=(58, 60)),
            Pad(size=(61, 63), value=(255, 0, 9)),
        ),
        "crop-alone": spec((16, 16), Crop(size=(16, 16), round="floor")),
        "pad-alone": spec((80, 131), Pad(size=(80, 131), value=(3, 2, 1)), channels="bgr"),
        "no-upscale": spec(
            (70, 70), Resize(to="contain", size=(70, 70), upscale=False), Pad(size=(70, 70))
        ),
        "square-crop": spec((24, 24), Crop(aspect=1.0), stretch((24, 24), "opencv.area")),
        "top-left-letterbox": spec(
            (32, 48),
            Resize(to="contain", size=(32, 48), round="ceil", filter="opencv.cubic"),
            Pad(size=(32, 48), anchor="top_left"),
        ),
    }
    sizes: tuple[Size, ...] = ((75, 131), (69, 67))
    for name, image in listed.items():
        yield Chain(
            name=name,
            comment="several steps",
            flags=("crop", "odd_pad"),
            input=image,
            binding=bound(image),
            sizes=sizes,
        )


def _large() -> Iterator[Chain]:
    image = preset_input("ultralytics.detect", (640, 640))
    yield Chain(
        name="camera-640",
        comment="a frame of a camera to a detector's input",
        flags=("large",),
        input=image,
        binding=bound(image, "NCHW"),
        sizes=((1080, 1920),),
    )
    image = preset_input("torchvision.imagenet", (224, 224))
    yield Chain(
        name="camera-224",
        comment="a frame of a camera to a classifier's input, scale 1/255",
        flags=("large", "crop"),
        input=image,
        binding=bound(image, "NHWC", "int8", _INT8),
        sizes=((1280, 720),),
    )


def _flags(image: ImageInput) -> tuple[Flag, ...]:
    found: list[Flag] = []
    if image.channels == "bgr":
        found.append("bgr")
    if image.channels == "gray":
        found.append("gray")
    if image.values == "float32":
        found.append("float32_pixels")
    return tuple(found)


def _dtype_flags(binding: InputBinding) -> tuple[Flag, ...]:
    found: list[Flag] = []
    if binding.quant is not None:
        found.append("quantised")
    if binding.normalise_in_file:
        found.append("normalise_in_file")
    return tuple(found)
