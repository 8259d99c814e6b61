"""tables.json: what the 256 values of a pixel become."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from phoneproof.core.binding import InputBinding, Quant
from phoneproof.core.contract import ImageInput
from phoneproof.core.errors import PhoneproofError
from phoneproof.core.presets import (
    CAFFE_MEAN_BGR,
    IMAGENET_MEAN,
    IMAGENET_STD,
    PRESETS,
    preset_input,
)
from phoneproof.pixels.values import value_tables
from tests.vectors.inputs import UNIT, bound, gray_spec, spec
from tests.vectors.types import Flag, TableCase, digest

_SIZE: Final = (8, 8)
_Pair = tuple[ImageInput, InputBinding]


def cases() -> Iterator[TableCase]:
    """Presets, odd numbers, every dtype, ties and clipping, and bindings that mean nothing."""
    for name in PRESETS:
        image = preset_input(name, _SIZE)
        if image.values == "uint8":
            yield _case(f"preset-{name}", "the preset's values", image, bound(image))
    for name, (image, binding) in {**_floats(), **_wholes(), **_refused()}.items():
        yield _case(name, f"{binding.dtype} values", image, binding)


def _floats() -> dict[str, _Pair]:
    torch = spec(_SIZE, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    odd = spec(_SIZE, scale=0.0078125, mean=(0.1, -0.3, 1e-3), std=(0.7, 3.0, 1e-3))
    large = spec(_SIZE, scale=1.0, mean=(-2048.0, -4096.0, -1024.5))
    tiny = spec(_SIZE, scale=1e-7, mean=(0.0, 1e-6, 2e-6))
    gray = gray_spec(_SIZE, gray="pillow", mean=0.1307, std=0.3081)
    return {
        "float32-odd": (odd, bound(odd)),
        "float32-gray": (gray, bound(gray)),
        "float32-in-file": (torch, bound(torch, in_file=True)),
        "float16-torch": (torch, bound(torch, "NCHW", "float16")),
        "float16-ties": (large, bound(large, "NCHW", "float16")),
        "float16-subnormal": (tiny, bound(tiny, "NCHW", "float16")),
        "float16-in-file": (torch, bound(torch, "NCHW", "float16", in_file=True)),
    }


def _wholes() -> dict[str, _Pair]:
    torch = spec(_SIZE, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    raw = spec(_SIZE, scale=1.0)
    caffe = spec(_SIZE, channels="bgr", scale=1.0, mean=CAFFE_MEAN_BGR)
    unit = spec(_SIZE, scale=UNIT)
    gray = gray_spec(_SIZE, gray="opencv", mean=0.5, std=0.5)
    return {
        "int8-torch": (torch, bound(torch, dtype="int8", quant=_quant(0.018658, -14))),
        "int8-clipped": (torch, bound(torch, dtype="int8", quant=_quant(0.0123, -90))),
        "int8-ties": (raw, bound(raw, dtype="int8", quant=_quant(2.0, -128))),
        "int8-ties-negative": (caffe, bound(caffe, dtype="int8", quant=_quant(2.0, 3))),
        "int8-unit": (unit, bound(unit, dtype="int8", quant=_quant(0.003921568859368563, -128))),
        "int8-gray": (gray, bound(gray, dtype="int8", quant=_quant(0.0078125, 0))),
        "uint8-unit": (unit, bound(unit, dtype="uint8", quant=_quant(0.003921568859368563, 0))),
        "uint8-quarters": (raw, bound(raw, dtype="uint8", quant=_quant(4.0, 10))),
        "uint8-in-file": (torch, bound(torch, dtype="uint8", in_file=True)),
        "uint8-in-file-quantised": (
            torch,
            bound(torch, dtype="uint8", quant=_quant(0.5, 3), in_file=True),
        ),
        "int8-in-file": (
            torch,
            bound(torch, dtype="int8", quant=_quant(1.0, -128), in_file=True),
        ),
        "int16-torch": (torch, bound(torch, dtype="int16", quant=_quant(8.1e-05, 0))),
        "int16-clipped": (caffe, bound(caffe, dtype="int16", quant=_quant(0.001, 12))),
    }


def _refused() -> dict[str, _Pair]:
    image = spec(_SIZE)
    return {
        "refused-int8-without-quant": (image, bound(image, dtype="int8")),
        "refused-uint8-without-quant": (image, bound(image, dtype="uint8")),
        "refused-int8-in-file-without-quant": (image, bound(image, dtype="int8", in_file=True)),
        "refused-int32": (image, bound(image, dtype="int32", quant=_quant(1.0, 0))),
    }


def _quant(scale: float, zero_point: int) -> Quant:
    return Quant(scale=scale, zero_point=zero_point)


def _case(name: str, comment: str, image: ImageInput, binding: InputBinding) -> TableCase:
    try:
        expected = digest(value_tables(image, binding))
    except PhoneproofError:
        expected = None
    return TableCase(
        id=f"table-{name}",
        comment=comment if expected else "the binding does not say what its numbers mean",
        flags=_flags(image, binding, refused=expected is None),
        input=image,
        binding=binding,
        expected=expected,
        error=expected is None,
    )


def _flags(image: ImageInput, binding: InputBinding, *, refused: bool) -> tuple[Flag, ...]:
    probes: dict[Flag, bool] = {
        "error": refused,
        "gray": image.channels == "gray",
        "bgr": image.channels == "bgr",
        "quantised": binding.quant is not None,
        "normalise_in_file": binding.normalise_in_file,
    }
    return tuple(flag for flag, holds in probes.items() if holds)
