"""Predictions made up from seeds: what verification is tested with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.contract import Contract, Decode, ImageInput, Nms
from phoneproof.core.dataset import ImageItem, ImageSet, LabelledBox
from phoneproof.decode.results import Classification, Detections
from phoneproof.runtimes.predict import Prediction

Float = NDArray[np.float32]
HEIGHT, WIDTH = 400, 600
CLASSES = 4
CONFIDENCE = 0.25

Heads = Callable[[int, Float, Float], tuple[Float, Float]]
"""(image, boxes [A, 4], scores [A, C]) -> what a worse model would give."""
Probabilities = Callable[[int, Float], Float]


def contract(task: str) -> Contract:
    image = ImageInput(
        geometry=(), size=(HEIGHT, WIDTH), scale=1 / 255, mean=(0.0,) * 3, std=(1.0,) * 3
    )
    labels = tuple(f"class {i}" for i in range(CLASSES))
    if task == "classify":
        return Contract(name="c", task="classify", inputs=(image,), labels=labels)
    decode = Decode(confidence=CONFIDENCE, nms=Nms(iou=0.45))
    return Contract(name="d", task="detect", inputs=(image,), labels=labels, decode=decode)


def digest(index: int) -> str:
    return hashlib.sha256(f"image {index}".encode()).hexdigest()


def image_set(items: tuple[ImageItem, ...]) -> ImageSet:
    return ImageSet(split="all", items=items)


def image_item(
    index: int, *, label: int | None = None, boxes: tuple[LabelledBox, ...] | None = None
) -> ImageItem:
    name = f"{index:04}.jpg"
    return ImageItem(name=name, path=Path(name), sha256=digest(index), label=label, boxes=boxes)


def prediction(
    index: int,
    app: Classification | Detections,
    metric: Detections | None,
    roles: dict[str, Float] | None,
) -> Prediction:
    return Prediction(
        name=f"{index:04}.jpg",
        sha256=digest(index),
        height=HEIGHT,
        width=WIDTH,
        app=app,
        metric=metric,
        roles=roles,
    )


def classifier(
    n: int, *, accuracy: float = 0.8, seed: int = 0, labelled: bool = True
) -> tuple[ImageSet, list[Float]]:
    """Images with labels, and float32 probabilities [C] with a clear first class each."""
    random = np.random.default_rng(seed)
    items: list[ImageItem] = []
    rows: list[Float] = []
    for index in range(n):
        label = int(random.integers(CLASSES))
        first = label if random.random() < accuracy else (label + 1) % CLASSES
        logits = random.normal(0.0, 0.5, CLASSES)
        logits[first] += 4.0
        rows.append((np.exp(logits) / np.exp(logits).sum()).astype(np.float32))
        items.append(image_item(index, label=label if labelled else None))
    return image_set(tuple(items)), rows


def classified(rows: list[Float], change: Probabilities | None = None) -> list[Prediction]:
    changed = rows if change is None else [change(i, row.copy()) for i, row in enumerate(rows)]
    return [
        prediction(i, Classification(probabilities=row), None, {"probabilities": row})
        for i, row in enumerate(changed)
    ]


def detector(
    n: int, *, seed: int = 0, labelled: bool = True
) -> tuple[ImageSet, list[tuple[Float, Float]]]:
    """Images of objects on a grid (none overlap), and heads that find most of them."""
    random = np.random.default_rng(seed)
    items: list[ImageItem] = []
    heads: list[tuple[Float, Float]] = []
    for index in range(n):
        corners = np.stack(np.meshgrid(np.arange(6) * 100.0, np.arange(4) * 100.0), -1)
        corner = corners.reshape(-1, 2) + random.uniform(0, 10, (24, 2))
        side = random.choice([20.0, 50.0, 80.0], (24, 1)) * random.uniform(0.9, 1.0, (24, 2))
        boxes = np.concatenate([corner, corner + side], 1)
        classes = random.integers(0, CLASSES, 24)
        there = random.random(24) < 0.4
        strength = np.where(there, random.uniform(0.3, 0.95, 24), random.uniform(0.01, 0.2, 24))
        scores = random.uniform(0.001, 0.01, (24, CLASSES))
        scores[np.arange(24), classes] = strength
        found = boxes + random.normal(0, 1.0, boxes.shape)
        truth = tuple(
            LabelledBox(
                label=int(classes[k]),
                xyxy=(
                    boxes[k, 0] / WIDTH,
                    boxes[k, 1] / HEIGHT,
                    boxes[k, 2] / WIDTH,
                    boxes[k, 3] / HEIGHT,
                ),
            )
            for k in np.flatnonzero(there)
        )
        items.append(image_item(index, boxes=truth if labelled else None))
        heads.append((found.astype(np.float32), scores.astype(np.float32)))
    return image_set(tuple(items)), heads


def detections(boxes: Float, scores: Float, confidence: float) -> Detections:
    """Each anchor's best class over a threshold, best first."""
    best = scores.max(axis=1)
    order = np.argsort(-best, kind="stable")
    kept = order[best[order] > np.float32(confidence)]
    return Detections(
        boxes=boxes[kept], scores=best[kept], classes=scores[kept].argmax(axis=1).astype(np.int64)
    )


def detected(heads: list[tuple[Float, Float]], change: Heads | None = None) -> list[Prediction]:
    predictions = []
    for index, (boxes, scores) in enumerate(heads):
        b, s = boxes, scores
        if change is not None:
            b, s = change(index, boxes.copy(), scores.copy())
        predictions.append(
            prediction(
                index,
                detections(b, s, CONFIDENCE),
                detections(b, s, 0.001),
                {"boxes": b, "scores": s},
            )
        )
    return predictions
