"""TFLite_Detection_PostProcess: the operator that ends TensorFlow's SSD models.

The model is cut before it. What the operator knows (priors, scales, thresholds) becomes the
head's description and the contract's decode, so every artifact of the model carries it.

Semantics from tensorflow/lite/kernels/detection_postprocess.cc: anchors are rows of centre y,
centre x, height, width; ``centre = t / scale * side + anchor``, ``side = exp(t / scale) * anchor``;
the classes it gives leave out the background, which stands first where there is one more column of
scores than classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from flatbuffers import flexbuffers

from phoneproof.capture.heads import HeadGuess
from phoneproof.core.binding import Box, OutputBinding
from phoneproof.core.capture import Finding, Head
from phoneproof.core.contract import Decode, Nms
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.decode.priors import pack_priors
from phoneproof.formats.tflite import TfliteGraph, TfliteOp
from phoneproof.formats.tflite_values import constant_values

_NAME: Final = "TFLite_Detection_PostProcess"
_LARGEST_OPTIONS: Final = 1 << 16
_MOST_DETECTIONS: Final = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class PostProcess:
    """boxes, scores: the tensors that feed the operator. background: whether scores begin so."""

    boxes: int
    scores: int
    background: bool
    classes: int
    guess: HeadGuess
    decode: Decode

    def labels(self, read: tuple[str | None, ...]) -> tuple[str | None, ...]:
        """The file's class names as the columns of the scores: its list leaves out background."""
        if self.background and len(read) == self.classes:
            return (None, *read)
        return read


@dataclass(frozen=True, kw_only=True, slots=True)
class _Options:
    """scales: of y, x, h, w. regular: NMS in each class, not over all of them at once.

    many: whether one anchor may give detections of several classes.
    """

    scales: tuple[float, float, float, float]
    classes: int
    detections: int
    regular: bool
    many: bool
    confidence: float
    iou: float


def find_post_process(graph: TfliteGraph) -> PostProcess | None:
    """The operator at the end of the graph; null without.

    Raises:
        InvalidInput: its options or anchors are damaged.
        Unsupported: more than one.
    """
    found = [op for op in graph.ops if op.custom and op.name == _NAME]
    if not found:
        return None
    if len(found) > 1 or len(found[0].inputs) < 3 or min(found[0].inputs[:3]) < 0:
        raise Unsupported(
            f"a model with an unusual {_NAME}",
            found=f"{len(found)} of them, the first with {len(found[0].inputs)} inputs",
        )
    op = found[0]
    options = _read(op)
    boxes, scores, anchors = op.inputs[:3]
    shapes = graph.tensors[boxes].shape, graph.tensors[scores].shape
    extra = shapes[1][2] - options.classes if len(shapes[1]) == 3 else -1
    if len(shapes[0]) != 3 or shapes[0][2] != 4 or extra not in (0, 1):
        raise Unsupported(
            f"{_NAME} on tensors that are no boxes and scores",
            found=f"{list(shapes[0])}, {list(shapes[1])} for {options.classes} classes",
        )
    return PostProcess(
        boxes=boxes,
        scores=scores,
        background=extra == 1,
        classes=options.classes,
        guess=_guess(graph, (boxes, scores, anchors), options),
        decode=_decode(options),
    )


def _read(op: TfliteOp) -> _Options:
    raw = op.options.custom
    if not 0 < len(raw) <= _LARGEST_OPTIONS:
        raise InvalidInput(f"{_NAME} has options of {len(raw)} bytes")
    try:
        # Only the named numbers are looked up: unpacking everything could be made endless.
        table = flexbuffers.GetRoot(raw).AsMap
        keys = {key.AsKey if key.IsKey else "" for key in table.Keys}
        scales = [float(table[f"{axis}_scale"].AsFloat) for axis in "yxhw"]
        regular = "use_regular_nms" in keys and bool(table["use_regular_nms"].AsInt)
        options = _Options(
            scales=(scales[0], scales[1], scales[2], scales[3]),
            classes=int(table["num_classes"].AsInt),
            detections=int(table["max_detections"].AsInt),
            regular=regular,
            many=regular or int(table["max_classes_per_detection"].AsInt) > 1,
            confidence=float(table["nms_score_threshold"].AsFloat),
            iou=float(table["nms_iou_threshold"].AsFloat),
        )
    except Exception as error:  # flexbuffers reads what the bytes say and raises anything
        raise InvalidInput(f"the options of {_NAME} are damaged", found=str(error)) from error
    _require_sane(options)
    return options


def _require_sane(options: _Options) -> None:
    numbers = (*options.scales, options.confidence, options.iou)
    sane = all(math.isfinite(n) for n in numbers) and min(options.scales) > 0
    if not sane or options.classes < 1 or not 1 <= options.detections <= _MOST_DETECTIONS:
        raise InvalidInput(f"the options of {_NAME} are damaged", found=str(options))


def _decode(options: _Options) -> Decode:
    """The operator's own thresholds; an IoU or a score out of range means no limit."""
    return Decode(
        confidence=min(max(options.confidence, 0.0), 1.0),
        multi_label=options.many,
        nms=Nms(
            iou=options.iou if 0 < options.iou <= 1 else 1.0,
            class_agnostic=not options.regular,
            max_detections=options.detections,
        ),
    )


def _guess(graph: TfliteGraph, tensors: tuple[int, int, int], options: _Options) -> HeadGuess:
    boxes, scores = (graph.tensors[index] for index in tensors[:2])
    anchors: Any = constant_values(graph.tensors[tensors[2]])
    if anchors.shape != (boxes.shape[1], 4) or anchors.dtype != np.float32:
        raise InvalidInput(
            f"the anchors of {_NAME} do not fit its boxes",
            found=f"{list(anchors.shape)} for {list(boxes.shape)}",
        )
    up, across, tall, wide = options.scales
    box = Box(
        format="ssd",
        units="fraction",
        order="yx",
        variances=(1 / across, 1 / up, 1 / wide, 1 / tall),
    )
    head = Head(
        outputs=(
            OutputBinding(
                tensor=boxes.name,
                role="boxes",
                shape=boxes.shape,
                axes=("anchor", "coord"),
                box=box,
            ),
            OutputBinding(
                tensor=scores.name, role="scores", shape=scores.shape, axes=("anchor", "class")
            ),
        ),
        anchors=pack_priors(anchors[:, [1, 0, 3, 2]]),
    )
    return HeadGuess(task="detect", head=head, family="ssd", findings=_findings(head, options))


def _findings(head: Head, options: _Options) -> tuple[Finding, ...]:
    shape = head.outputs[0].shape
    scales = ", ".join(f"{scale:g}" for scale in options.scales)
    kind = "in each class" if options.regular else "over all classes at once"
    return (
        Finding(
            key="contract.task",
            value="detect",
            reason=f"the model ends in {_NAME}; it is cut before it, and the app decodes",
        ),
        Finding(
            key="head.boxes",
            value="ssd, fractions, cy cx h w",
            reason=f"{shape[1]} anchors are a constant of {_NAME}; its scales y, x, h, w: {scales}",
        ),
        Finding(
            key="head.nms",
            value=f"score {options.confidence:g}, IoU {options.iou:g}, {kind}",
            reason=f"options of {_NAME}; at most {options.detections} detections",
        ),
    )
