"""Core ML's non-maximum suppression: the model kind that ends a detector's pipeline.

Fields and meaning: ``mlmodel/format/NonMaximumSuppression.proto`` of coremltools (BSD-3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from phoneproof.formats.coreml.messages import Message, model_messages

CONFIDENCE: Final = "confidence"
COORDINATES: Final = "coordinates"
IOU: Final = "iouThreshold"
THRESHOLD: Final = "confidenceThreshold"
"""The names that Vision and apps for detectors look for."""
RAW_CONFIDENCE: Final = "raw_confidence"
RAW_COORDINATES: Final = "raw_coordinates"
"""What the suppression reads."""

_FLOAT32: Final = 65568
"""ArrayFeatureType.ArrayDataType; the four arrays of a suppression share one type."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suppression:
    """What a suppression does.

    iou, confidence: limits where the app gives none. per_class: only boxes whose best class is the
    same suppress each other. labels: of the classes, in index order.
    """

    iou: float
    confidence: float
    per_class: bool
    labels: tuple[str, ...]


def suppression_of(model: Message) -> Suppression:
    """Read a model of kind ``nonMaximumSuppression``."""
    nms = model.nonMaximumSuppression
    return Suppression(
        iou=float(nms.iouThreshold),
        confidence=float(nms.confidenceThreshold),
        per_class=bool(nms.pickTop.perClass),
        labels=tuple(map(str, nms.stringClassLabels.vector)),
    )


def suppression_model(what: Suppression, boxes: int, version: int) -> Message:
    """A model that suppresses ``raw_confidence`` [boxes, classes] and ``raw_coordinates``
    [boxes, 4] (centre x, centre y, width, height as fractions).

    version: of the specification.
    """
    model = model_messages().Model()
    model.specificationVersion = version
    described, nms = model.description, model.nonMaximumSuppression
    classes = len(what.labels)
    for name, width in ((RAW_CONFIDENCE, classes), (RAW_COORDINATES, 4)):
        feature = described.input.add(name=name)
        feature.type.multiArrayType.dataType = _FLOAT32
        feature.type.multiArrayType.shape.extend((boxes, width))
    add_thresholds(described, what)
    add_results(described, classes)
    nms.pickTop.perClass = what.per_class
    nms.stringClassLabels.vector.extend(what.labels)
    nms.iouThreshold, nms.confidenceThreshold = what.iou, what.confidence
    nms.confidenceInputFeatureName = RAW_CONFIDENCE
    nms.coordinatesInputFeatureName = RAW_COORDINATES
    nms.iouThresholdInputFeatureName = IOU
    nms.confidenceThresholdInputFeatureName = THRESHOLD
    nms.confidenceOutputFeatureName = CONFIDENCE
    nms.coordinatesOutputFeatureName = COORDINATES
    return model


def add_thresholds(described: Message, what: Suppression) -> None:
    """The two optional numbers that an app may give."""
    for name, value, word in (
        (IOU, what.iou, "Overlap above which the weaker box goes"),
        (THRESHOLD, what.confidence, "Least confidence of a box"),
    ):
        feature = described.input.add(name=name)
        feature.type.doubleType.SetInParent()
        feature.type.isOptional = True
        feature.shortDescription = f"{word}; {value:g} where it is left out"


def add_results(described: Message, classes: int) -> None:
    """``confidence`` and ``coordinates``, of any number of rows."""
    for name, width, word in (
        (CONFIDENCE, classes, "Boxes x classes: the confidence of the box in its class, else 0"),
        (COORDINATES, 4, "Boxes x (centre x, centre y, width, height), fractions of the input"),
    ):
        feature = described.output.add(name=name)
        feature.shortDescription = word
        array = feature.type.multiArrayType
        array.dataType = _FLOAT32
        array.shapeRange.sizeRanges.add(lowerBound=0, upperBound=-1)
        array.shapeRange.sizeRanges.add(lowerBound=width, upperBound=width)
