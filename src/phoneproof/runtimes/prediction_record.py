"""The stored form of one prediction: msgpack, arrays as raw little-endian bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from phoneproof.core.errors import InvalidInput
from phoneproof.decode.results import Classification, Detections, Float, RawOutputs, Results
from phoneproof.runtimes.predict import Prediction

_FLOAT = np.dtype("<f4")
_INDEX = np.dtype("<i8")


class PackedArray(msgspec.Struct, frozen=True, array_like=True):
    """Shape and row-major bytes; the element type is given by the field that holds it."""

    shape: tuple[int, ...]
    data: bytes


class PackedClassification(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """probabilities: float32 [C]."""

    probabilities: PackedArray


class PackedDetections(msgspec.Struct, frozen=True, array_like=True, tag="d"):
    """boxes: float32 [K, 4]; scores: float32 [K]; classes: int64 [K]."""

    boxes: PackedArray
    scores: PackedArray
    classes: PackedArray


class PackedRaw(msgspec.Struct, frozen=True, array_like=True, tag="r"):
    """float32 tensors by name."""

    tensors: tuple[tuple[str, PackedArray], ...]


PackedResults = PackedClassification | PackedDetections | PackedRaw


class PredictionRecord(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A `Prediction`; of its roles only the names, because the arrays have files of their own."""

    name: str
    sha256: str
    height: int
    width: int
    app: PackedResults
    metric: PackedResults | None
    roles: tuple[str, ...] | None


def pack(prediction: Prediction) -> PredictionRecord:
    """The stored form."""
    return PredictionRecord(
        name=prediction.name,
        sha256=prediction.sha256,
        height=prediction.height,
        width=prediction.width,
        app=_pack(prediction.app),
        metric=None if prediction.metric is None else _pack(prediction.metric),
        roles=None if prediction.roles is None else tuple(prediction.roles),
    )


def unpack(record: PredictionRecord, roles: Mapping[str, Float] | None) -> Prediction:
    """The prediction, with `roles` to look its canonical outputs up in.

    Raises:
        InvalidInput: an array whose bytes do not fill its shape.
    """
    return Prediction(
        name=record.name,
        sha256=record.sha256,
        height=record.height,
        width=record.width,
        app=_unpack(record.app),
        metric=None if record.metric is None else _unpack(record.metric),
        roles=roles,
    )


def _pack(results: Results) -> PackedResults:
    if isinstance(results, Classification):
        return PackedClassification(_bytes(results.probabilities, _FLOAT))
    if isinstance(results, Detections):
        return PackedDetections(
            _bytes(results.boxes, _FLOAT),
            _bytes(results.scores, _FLOAT),
            _bytes(results.classes, _INDEX),
        )
    return PackedRaw(tuple((name, _bytes(array, _FLOAT)) for name, array in results.tensors))


def _unpack(packed: PackedResults) -> Results:
    if isinstance(packed, PackedClassification):
        return Classification(probabilities=_array(packed.probabilities, _FLOAT))
    if isinstance(packed, PackedDetections):
        return Detections(
            boxes=_array(packed.boxes, _FLOAT),
            scores=_array(packed.scores, _FLOAT),
            classes=_array(packed.classes, _INDEX),
        )
    return RawOutputs(
        tensors=tuple((name, _array(array, _FLOAT)) for name, array in packed.tensors)
    )


def _bytes(array: NDArray[Any], dtype: np.dtype[Any]) -> PackedArray:
    return PackedArray(array.shape, array.astype(dtype, copy=False).tobytes())


def _array(packed: PackedArray, dtype: np.dtype[Any]) -> NDArray[Any]:
    if min(packed.shape, default=0) < 0 or math.prod(packed.shape) * dtype.itemsize != len(
        packed.data
    ):
        raise InvalidInput(
            "a stored prediction is damaged",
            found=f"{len(packed.data)} bytes for shape {list(packed.shape)}",
            next_step="delete the stored predictions and run the build again",
        )
    # A copy: what is read back may be written to, like what was stored.
    return np.frombuffer(packed.data, dtype).reshape(packed.shape).astype(dtype.newbyteorder("="))
