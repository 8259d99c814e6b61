"""Everything a checkpoint file says about its model, before any tensor library is needed."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from phoneproof.capture.backends.torch_files.checkpoint import Checkpoint, read_checkpoint
from phoneproof.capture.backends.torch_files.records import (
    Record,
    TensorDType,
    TensorRef,
    printable,
    text_keys,
)
from phoneproof.capture.backends.ultralytics.architecture import (
    Architecture,
    ClassifyLayer,
    DetectLayer,
    parse_architecture,
)
from phoneproof.capture.backends.ultralytics.model_record import (
    TASKS,
    ModelRecord,
    export_line,
    find_model,
)
from phoneproof.core.binding import Box, OutputBinding
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


def describe(path: Path) -> Description:
    """Read a checkpoint without running it.

    Raises:
        InvalidInput: corrupt, hostile or contradicting itself.
        Unsupported: a family, module or file format that is not rebuilt; `next_step` gives the
            export line.
    """
    checkpoint = read_checkpoint(path)
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

    Detect: [N, 4 + classes, A], A the sum over levels of (H // stride) * (W // stride); cx, cy,
    w, h in pixels, then sigmoid scores. Classify: softmax probabilities [N, classes].
    """
    head = architecture.head
    if isinstance(head, ClassifyLayer):
        shape: tuple[int, ...] = (batch, head.classes)
        scores = OutputBinding(tensor=PROBABILITIES, role="scores", shape=shape, axes=("class",))
        return Head(outputs=(scores,))
    anchors = sum((size[0] // stride) * (size[1] // stride) for stride in head.strides)
    shape = (batch, 4 + head.classes, anchors)
    boxes = OutputBinding(
        tensor=DETECTIONS,
        role="boxes",
        shape=shape,
        axes=("coord", "anchor"),
        slice=(0, 4),
        box=Box(format="cxcywh", units="pixels"),
    )
    scores = OutputBinding(
        tensor=DETECTIONS,
        role="scores",
        shape=shape,
        axes=("class", "anchor"),
        slice=(4, 4 + head.classes),
    )
    return Head(outputs=(boxes, scores))


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
    detects = isinstance(architecture.head, DetectLayer)
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
    if not isinstance(head, DetectLayer):
        return
    module = model.modules.get(f"model.{len(architecture.rows) - 1}")
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
