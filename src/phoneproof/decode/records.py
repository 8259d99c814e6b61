"""Results as JSON: golden vectors, ``phoneproof run --json``.

Numbers are the float32 values themselves, so reading a record back gives the same bits.
"""

from __future__ import annotations

import numpy as np

from phoneproof.core.contract import Contract
from phoneproof.core.errors import InvalidInput
from phoneproof.core.schema import SchemaType
from phoneproof.decode.labels import label_text, top_k
from phoneproof.decode.results import Classification, Detections, Float, RawOutputs, Results

TOP = 5
"""Classes that are spelled out beside the probabilities, for people."""


class RankedRecord(SchemaType, frozen=True, kw_only=True):
    """One of the most probable classes: label index, text, probability."""

    index: int
    label: str
    probability: float


class ClassificationRecord(
    SchemaType, frozen=True, kw_only=True, tag_field="kind", tag="classification"
):
    """`probabilities` by label index; `top` is derived from them."""

    top: tuple[RankedRecord, ...]
    probabilities: tuple[float, ...]


class DetectionRecord(SchemaType, frozen=True, kw_only=True):
    """`box`: xyxy in pixels of the oriented original. `index`: of the label."""

    index: int
    label: str
    score: float
    box: tuple[float, float, float, float]


class DetectionsRecord(SchemaType, frozen=True, kw_only=True, tag_field="kind", tag="detections"):
    """Best first."""

    detections: tuple[DetectionRecord, ...]


class TensorRecord(SchemaType, frozen=True, kw_only=True):
    """A float32 tensor, row-major."""

    name: str
    shape: tuple[int, ...]
    values: tuple[float, ...]


class RawRecord(SchemaType, frozen=True, kw_only=True, tag_field="kind", tag="raw"):
    """The model's outputs, without the batch axis."""

    tensors: tuple[TensorRecord, ...]


ResultRecord = ClassificationRecord | DetectionsRecord | RawRecord


def to_record(results: Results, contract: Contract) -> ResultRecord:
    """The serialisable form.

    Raises:
        InvalidInput: a NaN or an infinity, which JSON cannot carry.
    """
    if isinstance(results, Classification):
        return _classification(results, contract)
    if isinstance(results, Detections):
        return _detections(results, contract)
    return RawRecord(
        tensors=tuple(
            TensorRecord(name=name, shape=array.shape, values=_numbers(array))
            for name, array in results.tensors
        )
    )


def from_record(record: ResultRecord) -> Results:
    """The results a record was made from, bit for bit.

    Raises:
        InvalidInput: a tensor whose values do not fill its shape.
    """
    if isinstance(record, ClassificationRecord):
        return Classification(probabilities=np.array(record.probabilities, np.float32))
    if isinstance(record, DetectionsRecord):
        found = record.detections
        return Detections(
            boxes=np.array([one.box for one in found], np.float32).reshape(-1, 4),
            scores=np.array([one.score for one in found], np.float32),
            classes=np.array([one.index for one in found], np.int64),
        )
    return RawOutputs(tensors=tuple((one.name, _tensor(one)) for one in record.tensors))


def _classification(results: Classification, contract: Contract) -> ClassificationRecord:
    probabilities = _numbers(results.probabilities)
    return ClassificationRecord(
        top=tuple(
            RankedRecord(index=one.index, label=one.label, probability=one.probability)
            for one in top_k(results, contract, TOP)
        ),
        probabilities=probabilities,
    )


def _detections(results: Detections, contract: Contract) -> DetectionsRecord:
    boxes = _numbers(results.boxes)
    return DetectionsRecord(
        detections=tuple(
            DetectionRecord(
                index=int(index),
                label=label_text(contract, int(index)),
                score=score,
                box=(boxes[4 * i], boxes[4 * i + 1], boxes[4 * i + 2], boxes[4 * i + 3]),
            )
            for i, (index, score) in enumerate(
                zip(results.classes, _numbers(results.scores), strict=True)
            )
        )
    )


def _numbers(array: Float) -> tuple[float, ...]:
    if not np.isfinite(array).all():
        raise InvalidInput(
            "results hold a NaN or an infinity and cannot be written as JSON",
            next_step="look at the model's raw outputs for this image",
        )
    return tuple(array.reshape(-1).tolist())


def _tensor(record: TensorRecord) -> Float:
    values = np.array(record.values, np.float32)
    try:
        return values.reshape(record.shape)
    except ValueError as error:
        raise InvalidInput(
            f"the recorded tensor {record.name!r} is damaged",
            found=f"{values.size} values for shape {list(record.shape)}",
        ) from error
