"""The pickled module tree: which model a checkpoint holds, its weights and settings by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from phoneproof.capture.backends.torch_files.checkpoint import Checkpoint
from phoneproof.capture.backends.torch_files.records import (
    Record,
    TensorRef,
    printable,
    record_at,
    shown,
    text_keys,
)
from phoneproof.core.errors import InvalidInput, Unsupported

MAX_MODULES, MAX_NAME = 20_000, 256

TASKS: Mapping[str, str] = {
    "ultralytics.nn.tasks.DetectionModel": "detect",
    "ultralytics.nn.tasks.ClassificationModel": "classify",
    "models.yolo.Model": "detect",
    "models.yolo.DetectionModel": "detect",
}

_V8_EXPORT = "export it where ultralytics is installed: yolo export model={} format=onnx opset=12"
_V5_EXPORT = "export it in the yolov5 folder: python export.py --weights {} --include onnx"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRecord:
    """The model of a checkpoint, still as records.

    slot: "ema" or "model". modules: dotted name -> record. tensors: dotted name -> view.
    """

    slot: str
    record: Record
    modules: Mapping[str, Record]
    tensors: Mapping[str, TensorRef]

    @property
    def is_yolov5(self) -> bool:
        """Written by the YOLOv5 repository, whose modules are named ``models.*``."""
        return self.record.type.module.startswith("models.")


def find_model(checkpoint: Checkpoint) -> ModelRecord:
    """The moving average of the weights where the file has one, else the model.

    Raises:
        Unsupported: not an Ultralytics detector or classifier, by name.
        InvalidInput: the module tree is not one.
    """
    name = checkpoint.path.name
    fields = text_keys(checkpoint.root) if isinstance(checkpoint.root, dict) else {}
    slot = next((s for s in ("ema", "model") if isinstance(fields.get(s), Record)), None)
    if slot is None:
        raise Unsupported(
            f"{name} holds no Ultralytics model",
            found=_described(checkpoint.root),
            next_step="build the model in Python with these weights and export it to ONNX",
        )
    record = record_at(fields[slot], slot)
    _check_family(name, record.type.dotted)
    modules = dict(_walk(record))
    tensors = dict(_tensors(modules))
    return ModelRecord(slot=slot, record=record, modules=modules, tensors=tensors)


def export_line(file_name: str, family: str = "") -> str:
    """The command that makes ONNX of a family that is not rebuilt here."""
    line = _V5_EXPORT if family.startswith("models.") else _V8_EXPORT
    return line.format(file_name) + "; then give the .onnx file"


def _check_family(name: str, family: str) -> None:
    if family in TASKS:
        return
    label = f"YOLOv5 or a fork of it ({family})" if family.startswith("models.") else family
    known = family.startswith(("models.", "ultralytics."))
    raise Unsupported(
        f"{name}: the family {label} is not rebuilt" if known else f"{name} holds a {family}",
        found="rebuilt are detectors of YOLOv5, YOLOv8, YOLOv10, YOLO11 and YOLO26, and "
        "classifiers of YOLOv8, YOLO11 and YOLO26",
        next_step=export_line(name, family) if known else "export it to ONNX and give that file",
    )


def _described(root: object) -> str:
    if not isinstance(root, dict):
        return shown(root)
    keys = list(text_keys(root))
    kind = "a dictionary of tensors" if _is_state_dict(root) else "a dictionary"
    listed = ", ".join(printable(key)[:40] for key in keys[:4])
    return f"{kind} with {listed}{' ...' if len(keys) > 4 else ''}"


def _is_state_dict(root: Mapping[object, object]) -> bool:
    return bool(root) and all(isinstance(value, TensorRef) for value in root.values())


def _walk(root: Record) -> Iterator[tuple[str, Record]]:
    """Every module with its dotted name. Counted, because a hostile tree may be cyclic."""
    pending = [("", root)]
    for _ in range(MAX_MODULES):
        if not pending:
            return
        name, record = pending.pop()
        yield name, record
        children = record.attribute("_modules")
        if isinstance(children, dict):
            for key, child in text_keys(children).items():
                if child is not None:
                    path = f"{name}.{key}" if name else key
                    pending.append((path, record_at(child, printable(path))))
        if len(name) > MAX_NAME:
            break
    raise InvalidInput(
        "the checkpoint's module tree has no end",
        found=f"more than {MAX_MODULES} modules or names of more than {MAX_NAME} characters",
    )


def _tensors(modules: Mapping[str, Record]) -> Iterator[tuple[str, TensorRef]]:
    for module, record in modules.items():
        transient = _members(record.attribute("_non_persistent_buffers_set"))
        for table in ("_parameters", "_buffers"):
            values = record.attribute(table)
            for key, value in text_keys(values if isinstance(values, dict) else {}).items():
                if isinstance(value, TensorRef) and key not in transient:
                    yield f"{module}.{key}" if module else key, value


def _members(value: object) -> tuple[object, ...]:
    """Of a pickled set: its constructor's list, or what was added."""
    if not isinstance(value, Record):
        return ()
    first = value.args[0] if value.args else ()
    return (*value.elements, *(first if isinstance(first, list | tuple) else ()))
