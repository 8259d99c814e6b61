"""Everything a checkpoint file says about its model, before any tensor library is needed."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from phoneproof.capture.backends.torch_files.checkpoint import Checkpoint, read_checkpoint
from phoneproof.capture.backends.torch_files.records import (
    Record,
    TensorDType,
    TensorRef,
    printable,
    text_keys,
)
from phoneproof.capture.backends.torch_files.torch_file import refuse_hostile
from phoneproof.capture.backends.ultralytics.architecture.layers import (
    AnchorDetectLayer,
    Architecture,
    ClassifyLayer,
    DetectLayer,
    DetectorLayer,
)
from phoneproof.capture.backends.ultralytics.architecture.parse import parse_architecture
from phoneproof.capture.backends.ultralytics.model_record import (
    TASKS,
    ModelRecord,
    export_line,
    find_model,
)
from phoneproof.core.binding import Axis, Box, OutputBinding, Role
from phoneproof.core.capture import Head
from phoneproof.core.errors import InvalidInput, Unsupported

DETECTIONS, PROBABILITIES = "predictions", "probabilities"
"""Names of the one output tensor, by task."""

ACTIVATIONS = ("SiLU", "Identity")
"""Names of the torch activations that are rebuilt."""

_STRUCT_CODES: Mapping[TensorDType, str] = {"float16": "e", "float32": "f", "float64": "d"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """A checkpoint, its model still as records, and its parsed architecture."""

    checkpoint: Checkpoint
    model: ModelRecord
    architecture: Architecture

    @property
    def fields(self) -> Mapping[str, object]:
        """The checkpoint's own fields: date, version, train_args, ..."""
        root = self.checkpoint.root
        return text_keys(root) if isinstance(root, dict) else {}

    @property
    def left_out(self) -> Mapping[str, TensorRef]:
        """Weights of the file that inference does not use.

        An end-to-end head carries a second set of branches, which assign many boxes to an object
        while it learns; YOLOv5 up to 5.0 stores its anchors a second time, in pixels.
        """
        head, name = self.architecture.head, self.architecture.head_name
        prefixes: tuple[str, ...] = ()
        if isinstance(head, DetectLayer) and head.end_to_end:
            prefixes = (f"{name}.cv2.", f"{name}.cv3.")
        elif isinstance(head, AnchorDetectLayer):
            prefixes = (f"{name}.anchor_grid",)
        tensors = self.model.tensors
        return {key: ref for key, ref in tensors.items() if prefixes and key.startswith(prefixes)}

    @property
    def weights(self) -> Mapping[str, TensorRef]:
        """The weights that are rebuilt."""
        left_out = self.left_out
        return {key: ref for key, ref in self.model.tensors.items() if key not in left_out}


def describe(path: Path) -> Description:
    """Read a checkpoint without running it.

    Raises:
        InvalidInput: corrupt, hostile or contradicting itself.
        Unsupported: a family, module or file format that is not rebuilt; `next_step` gives the
            export line.
    """
    checkpoint = read_checkpoint(path)
    refuse_hostile(checkpoint.root, path.name)
    model = find_model(checkpoint)
    try:
        architecture = parse_architecture(model.record.attribute("yaml"))
        _check_task(model, architecture)
        _check_activations(model)
    except Unsupported as error:
        failed = f"{path.name}: {error.failed}"
        raise Unsupported(failed, found=error.found, next_step=export_line(path.name)) from error
    checkpoint.check_storages(ref.storage for ref in model.tensors.values())
    _check_strides(checkpoint, model, architecture)
    return Description(checkpoint=checkpoint, model=model, architecture=architecture)


def head_of(architecture: Architecture, size: tuple[int, int], batch: int) -> Head:
    """What the outputs mean for images of `size` [height, width].

    Anchor-free: [N, 4 + classes, A], A the sum over levels of (H // stride) * (W // stride);
    cx, cy, w, h in pixels, then sigmoid scores; end-to-end heads alike, before their selection.
    YOLOv5: [N, A, 5 + classes], A that many times the anchors of a cell; cx, cy, w, h in pixels,
    objectness, class scores, all after the sigmoid. Classify: softmax probabilities [N, classes].
    """
    head = architecture.head
    if isinstance(head, ClassifyLayer):
        shape: tuple[int, ...] = (batch, head.classes)
        scores = OutputBinding(tensor=PROBABILITIES, role="scores", shape=shape, axes=("class",))
        return Head(outputs=(scores,))
    cells = sum((size[0] // stride) * (size[1] // stride) for stride in head.strides)
    if isinstance(head, AnchorDetectLayer):
        shape = (batch, cells * head.anchors, 5 + head.classes)
        return Head(outputs=_parts(shape, "anchor_first", head.classes))
    return Head(outputs=_parts((batch, 4 + head.classes, cells), "anchor_last", head.classes))


def preset_of(architecture: Architecture) -> str:
    """The preset of core.presets that does what the family's own predictor does."""
    head = architecture.head
    if isinstance(head, ClassifyLayer):
        return "ultralytics.classify"
    if isinstance(head, AnchorDetectLayer):
        return "yolov5"
    return "ultralytics.detect_end2end" if head.end_to_end else "ultralytics.detect"


def _parts(
    shape: tuple[int, ...], order: Literal["anchor_first", "anchor_last"], classes: int
) -> tuple[OutputBinding, ...]:
    """Boxes, objectness where anchors come first (YOLOv5's order), scores."""
    roles: tuple[tuple[Role, int], ...] = (("boxes", 4), ("scores", classes))
    if order == "anchor_first":
        roles = (("boxes", 4), ("objectness", 1), ("scores", classes))
    parts, start = [], 0
    for role, width in roles:
        axis: Axis = "class" if role == "scores" else "coord"
        parts.append(
            OutputBinding(
                tensor=DETECTIONS,
                role=role,
                shape=shape,
                axes=("anchor", axis) if order == "anchor_first" else (axis, "anchor"),
                slice=(start, start + width),
                box=Box(format="cxcywh", units="pixels") if role == "boxes" else None,
            )
        )
        start += width
    return tuple(parts)


def small_floats(checkpoint: Checkpoint, value: object) -> tuple[float, ...] | None:
    """A one-dimensional float tensor of at most 16 elements as numbers; None for anything else."""
    if not isinstance(value, TensorRef) or len(value.shape) != 1 or value.numel > 16:
        return None
    code = _STRUCT_CODES.get(value.storage.dtype)
    if code is None or value.storage.numel > 4096:
        return None
    numbers = struct.unpack(
        f"<{value.storage.numel}{code}", checkpoint.read_storages([value.storage])[value.storage]
    )
    places = range(value.offset, value.offset + value.numel * value.stride[0], value.stride[0])
    return tuple(float(numbers[place]) for place in places)


def _check_task(model: ModelRecord, architecture: Architecture) -> None:
    detects = isinstance(architecture.head, DetectorLayer)
    if isinstance(architecture.head, AnchorDetectLayer) != model.is_yolov5:
        raise Unsupported(
            f"{model.record.type.dotted} with another family's head is not rebuilt",
            found=type(architecture.head).__name__.removesuffix("Layer"),
        )
    if detects != (TASKS[model.record.type.dotted] == "detect"):
        raise Unsupported(
            f"{model.record.type.name} with another kind of head is not rebuilt",
            found=type(architecture.head).__name__.removesuffix("Layer"),
        )


def _check_activations(model: ModelRecord) -> None:
    for name, module in model.modules.items():
        kind = module.type
        if kind.module == "torch.nn.modules.activation" and kind.name not in ACTIVATIONS:
            raise Unsupported(
                f"the activation {printable(kind.name)} is not rebuilt",
                found=f"at {printable(name)}",
            )


def _check_strides(checkpoint: Checkpoint, model: ModelRecord, architecture: Architecture) -> None:
    """The strides the file recorded must be those its layers give."""
    head = architecture.head
    if isinstance(head, ClassifyLayer):
        return
    module = model.modules.get(architecture.head_name)
    recorded = small_floats(checkpoint, module.attribute("stride")) if module else None
    if recorded != tuple(map(float, head.strides)):
        raise InvalidInput(
            f"{checkpoint.path.name}: the head's strides contradict the architecture",
            found=f"{recorded or 'none'} recorded, {head.strides} described",
            next_step="the checkpoint was changed after training; export it to ONNX there",
        )


def namespace(value: object) -> Mapping[str, object]:
    """Named values, pickled as a dictionary or as a namespace object."""
    if isinstance(value, Record):
        return value.attributes
    return text_keys(value) if isinstance(value, dict) else {}
