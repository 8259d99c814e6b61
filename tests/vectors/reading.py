"""What the Python reference answers to a case as it is in its file: nothing else is looked at."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from phoneproof.core.errors import PhoneproofError
from phoneproof.pixels.filters import resize, to_gray
from phoneproof.pixels.geometry import plan_geometry
from phoneproof.pixels.inverse import to_original
from phoneproof.pixels.preprocess import Preprocessor
from phoneproof.pixels.values import value_tables
from phoneproof.pixels.yuv import yuv420_to_rgb
from tests.vectors.decode.setup import (
    Setup,
    Tensors,
    class_rows,
    decoded,
    detection_rows,
    raw_rows,
)
from tests.vectors.geometry import answered
from tests.vectors.inputs import spec
from tests.vectors.inverse import rows
from tests.vectors.pictures import pixels
from tests.vectors.pictures_read import read
from tests.vectors.types import (
    AlphaCase,
    DecodeCase,
    GeometryCase,
    GrayCase,
    ImageCase,
    InverseCase,
    OrientationCase,
    OutputTensor,
    ResizeCase,
    TableCase,
    TensorCase,
    YuvCase,
    digest,
)
from tests.vectors.yuv import planes

_PLAIN = spec((8, 8))

AnyCase = (
    ResizeCase
    | GeometryCase
    | TensorCase
    | TableCase
    | GrayCase
    | AlphaCase
    | OrientationCase
    | InverseCase
    | DecodeCase
    | YuvCase
    | ImageCase
)


def given(case: AnyCase) -> object:
    """What the file says the answer is; None where the case must be refused."""
    match case:
        case GeometryCase():
            return None if case.error else _plan(case)
        case DecodeCase():
            return None if case.error else (case.detections, case.classes, case.raw)
        case ImageCase():
            return case.tensor, case.detections, case.classes
        case _:
            return case.expected


def answer(case: AnyCase) -> object:
    """The same from the reference, from what the case asks; None where it is refused."""
    try:
        return _answer(case)
    except PhoneproofError:
        return None


def _answer(case: AnyCase) -> object:
    match case:
        case ResizeCase():
            return digest(resize(pixels(case.picture), case.size, case.filter))
        case GeometryCase():
            made = answered(case)
            return None if made.error else _plan(made)
        case TensorCase():
            rgb = pixels(case.picture)
            return digest(Preprocessor(case.input, case.binding).prepare(rgb).tensor)
        case TableCase():
            return digest(value_tables(case.input, case.binding))
        case InverseCase():
            plan = plan_geometry(case.input, case.height, case.width)
            return rows(to_original(np.array(case.boxes, np.float32), plan))
        case YuvCase():
            size = (case.height, case.width)
            return digest(yuv420_to_rgb(*planes(size, case.seed, case.y, case.chroma), size))
        case DecodeCase():
            results = decoded(setup_of(case))
            return detection_rows(results), class_rows(results, case.contract), raw_rows(results)
        case ImageCase():
            return _image(case)
        case _:
            return digest(_colours(case))


def _plan(case: GeometryCase) -> tuple[object, ...]:
    return case.steps, case.size, case.gain_y, case.gain_x, case.top, case.left


def _colours(case: GrayCase | AlphaCase | OrientationCase) -> NDArray[np.uint8]:
    if isinstance(case, GrayCase):
        return to_gray(pixels(case.picture), case.formula)
    if isinstance(case, OrientationCase):
        return read(case.picture, _PLAIN, case.exif)
    return read(case.picture, msgspec.structs.replace(_PLAIN, alpha=case.background))


def _image(case: ImageCase) -> object:
    image = case.contract.image
    rgb = read(case.picture, image, case.exif)
    prepared = Preprocessor(image, case.binding.image).prepare(rgb)
    setup = Setup(
        name=case.id,
        comment=case.comment,
        contract=case.contract,
        binding=case.binding,
        tensors=tensors_of(case.outputs),
        original=(rgb.shape[0], rgb.shape[1]),
    )
    results = decoded(setup)
    return digest(prepared.tensor), detection_rows(results), class_rows(results, case.contract)


def setup_of(case: DecodeCase) -> Setup:
    """The case as it was before it was decoded."""
    return Setup(
        name=case.id,
        comment=case.comment,
        contract=case.contract,
        binding=case.binding,
        tensors=tensors_of(case.outputs),
        original=(case.height, case.width),
        index=case.index,
    )


def tensors_of(outputs: Sequence[OutputTensor]) -> Tensors:
    """The outputs by name."""
    return {
        output.tensor: np.frombuffer(
            base64.b64decode(output.data), np.dtype(output.dtype).newbyteorder("<")
        ).reshape(output.shape)
        for output in outputs
    }
