"""What a checkpoint settles about the contract and its own weights, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator

from phoneproof.capture.backends.torch_files.records import Record
from phoneproof.capture.backends.ultralytics.architecture.layers import (
    AnchorDetectLayer,
    ClassifyLayer,
    DetectLayer,
)
from phoneproof.capture.backends.ultralytics.description import Description, preset_of
from phoneproof.capture.backends.ultralytics.evidence import labels_of
from phoneproof.capture.backends.ultralytics.recorded import tensor_bytes, training_state
from phoneproof.capture.backends.ultralytics.transforms import transforms_text
from phoneproof.core.capture import Finding

_Value = tuple[str, str, str]
"""Key, value, reason."""


def findings_of(description: Description) -> tuple[Finding, ...]:
    """What the file settles about the contract and which of its weights are taken."""
    model, head = description.model, description.architecture.head
    task = "classify" if isinstance(head, ClassifyLayer) else "detect"
    preset = preset_of(description.architecture)
    values = (
        ("contract.task", task, f"the checkpoint's model is a {model.record.type.name}"),
        ("contract.preset", preset, "preprocessing of the family's own predictor"),
        ("contract.labels", f"{len(labels_of(description))} classes", "names in the checkpoint"),
        *_weights(description),
        *_head(description),
    )
    return tuple(Finding(key=k, value=v, reason=r) for k, v, r in values)


def _weights(description: Description) -> Iterator[_Value]:
    fields, slot = description.fields, description.model.slot
    reason = "the file holds no moving average (training's end folds it into model)"
    if slot == "ema":
        reason = "the moving average, which validation used and the family loads first"
        if isinstance(fields.get("model"), Record):
            reason += "; the weights under model are not used"
    yield "source.weights", slot, reason
    dtypes = {ref.storage.dtype for ref in description.weights.values()}
    kinds = ", ".join(sorted(d for d in dtypes if "float" in d))
    yield "source.dtype", kinds, "storages; computed in float32"
    if state := training_state(fields):
        yield "source.training", state, "recorded when the file was written"
    if fields.get("optimizer") is not None:
        size = tensor_bytes(fields.get("optimizer"))
        yield "source.optimizer", f"{size} bytes", "state of the training, not part of the model"
    if transforms := transforms_text(description):
        yield "source.transforms", transforms, "pickled with the model"


def _head(description: Description) -> Iterator[_Value]:
    head = description.architecture.head
    if isinstance(head, ClassifyLayer):
        yield "head.scores", f"{head.classes} softmax probabilities", "softmax is inside"
        return
    strides = ", ".join(map(str, head.strides))
    yield "head.strides", strides, "recorded in the head and equal to the layers' strides"
    yield "head.boxes", "cx, cy, w, h in pixels", "the head is decoded inside, as in exports"
    yield from _anchors(head) if isinstance(head, AnchorDetectLayer) else _grid(description, head)


def _anchors(head: AnchorDetectLayer) -> Iterator[_Value]:
    yield "head.anchors", f"{head.anchors} a cell", "the file's own widths and heights"
    yield "head.objectness", "a sigmoid of its own", "a detection's score is objectness * class"
    yield "head.scores", f"{head.classes} sigmoid scores", "YOLOv5 scores classes one by one"
    yield (
        "metric.nms",
        "IoU 0.7",
        "mAP is measured with one decode for all families; YOLOv5 publishes its own at IoU 0.6, "
        "so compare figures of this build with each other, not with published ones",
    )


def _grid(description: Description, head: DetectLayer) -> Iterator[_Value]:
    yield "head.scores", f"{head.classes} sigmoid scores", "the family has no objectness"
    if not head.end_to_end:
        return
    yield (
        "head.branch",
        "one-to-one",
        "trained for one box an object: no NMS follows, the boxes over the threshold are final",
    )
    yield (
        "source.left_out",
        f"{len(description.left_out)} tensors",
        "the one-to-many branch, which only helps training, and would need NMS",
    )
