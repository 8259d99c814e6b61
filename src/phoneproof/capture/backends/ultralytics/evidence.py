"""What came with the weights: settings, metrics, names, licence, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from phoneproof.capture.backends.torch_files.records import Record, number
from phoneproof.capture.backends.ultralytics.architecture import DetectLayer
from phoneproof.capture.backends.ultralytics.description import (
    Description,
    namespace,
    small_floats,
)
from phoneproof.core.capture import Evidence, Finding, Hazard

DEFAULT_SIZE = 640
"""Ultralytics' own default of imgsz."""

MAX_PAIRS, MAX_TEXT = 400, 200


def evidence_of(description: Description) -> Evidence:
    """Training settings and metrics as recorded; paths are reduced to their last part."""
    fields = description.fields
    recorded = ("date", "version", "epoch", "docs")
    about = [(f"checkpoint.{key}", text) for key in recorded if (text := _text(fields.get(key)))]
    settings = namespace(fields.get("train_args"))
    pairs = [(key[:MAX_TEXT], text) for key in settings if (text := _text(settings[key]))]
    return Evidence(
        framework=f"ultralytics {_text(fields.get('version'))}".strip(),
        family=_family(description),
        independent=False,
        license=_text(fields.get("license"), is_path=False),
        training=tuple((about + pairs)[:MAX_PAIRS]),
        metrics=tuple(_metrics(description))[:MAX_PAIRS],
    )


def image_size(description: Description) -> tuple[tuple[int, int], Finding]:
    """[height, width] from the training's imgsz, else 640; a multiple of the largest stride."""
    recorded = namespace(description.fields.get("train_args")).get("imgsz")
    sides = recorded if isinstance(recorded, list | tuple) else (recorded, recorded)
    usable = [s for s in sides if isinstance(s, int) and not isinstance(s, bool)]
    reason = "train_args imgsz in the checkpoint"
    if len(sides) != 2 or len(usable) != 2 or not all(1 <= side <= 16384 for side in usable):
        usable = [DEFAULT_SIZE, DEFAULT_SIZE]
        reason = "the checkpoint records no usable imgsz; 640 is the framework's default"
    head = description.architecture.head
    step = max(head.strides) if isinstance(head, DetectLayer) else 1
    height, width = (-(-side // step) * step for side in usable)
    if [height, width] != usable:
        reason += f", rounded up to a multiple of the largest stride {step}"
    size = (height, width)
    return size, Finding(key="contract.size", value=f"{height} x {width}", reason=reason)


def labels_of(description: Description) -> tuple[str | None, ...]:
    """Class names in index order, one for each class; None where the file has no name."""
    names = description.model.record.attribute("names")
    pairs = enumerate(names) if isinstance(names, list | tuple) else ()
    table = dict(names) if isinstance(names, dict) else dict(pairs)
    found = (table.get(index) for index in range(description.architecture.classes))
    return tuple(name if isinstance(name, str) else None for name in found)


def findings_of(description: Description) -> tuple[Finding, ...]:
    """What the file settles about the contract, each with its reason."""
    model = description.model
    kind = model.record.type.name
    task = "detect" if isinstance(description.architecture.head, DetectLayer) else "classify"
    average = "the moving average, which validation used"
    only = "the file holds no moving average (training's end folds it into model)"
    values = [
        ("contract.task", task, f"the checkpoint's model is a {kind}"),
        ("contract.preset", f"ultralytics.{task}", "preprocessing of the family's own predictor"),
        ("contract.labels", f"{len(labels_of(description))} classes", "names in the checkpoint"),
        ("source.weights", model.slot, average if model.slot == "ema" else only),
        ("source.dtype", _weights_dtype(description), "storages; computed in float32"),
        *_head_values(description),
    ]
    if transforms := transforms_text(description):
        values.append(("source.transforms", transforms, "pickled with the model"))
    return tuple(Finding(key=k, value=v, reason=r) for k, v, r in values)


def hazards_of(description: Description) -> tuple[Hazard, ...]:
    """What the user must know before shipping."""
    return tuple(_hazards(description))


def transforms_text(description: Description) -> str:
    """The preprocessing pickled with a classifier, in one line; empty where there is none."""
    composed = description.model.record.attribute("transforms")
    steps = composed.attribute("transforms") if isinstance(composed, Record) else None
    if not isinstance(steps, list):
        return ""
    return ", ".join(_step_text(description, step) for step in steps[:16])


def _step_text(description: Description, step: object) -> str:
    if not isinstance(step, Record):
        return type(step).__name__
    known = ("size", "interpolation", "antialias", "mean", "std")
    pairs = ((key, _setting(description, step.attribute(key))) for key in known)
    return f"{step.type.name}({', '.join(f'{key} {text}' for key, text in pairs if text)})"


def _setting(description: Description, value: object) -> str:
    numbers = small_floats(description.checkpoint, value)
    if numbers is not None:
        return "/".join(f"{n:g}" for n in numbers)
    if isinstance(value, Record) and value.args:  # an enumeration member
        return _text(value.args[0])
    return _text(value)


def _hazards(description: Description) -> Iterator[Hazard]:
    license_ = _text(description.fields.get("license"), is_path=False)
    if "agpl" in license_.lower():
        yield Hazard(
            name="agpl_license",
            found=f"the checkpoint's licence is {license_}",
            next_step="an app that ships this model must follow it, or needs a commercial licence",
        )
    labels = labels_of(description)
    names = description.model.record.attribute("names")
    count = len(names) if isinstance(names, dict | list | tuple) else 0
    if count != len(labels) or None in labels:
        yield Hazard(
            name="labels_mismatch",
            found=f"{count} names for {len(labels)} classes",
            next_step="write the labels into [contract] in index order",
        )
    yield from _transform_hazards(description)


def _transform_hazards(description: Description) -> Iterator[Hazard]:
    """The preset feeds 0..1; classifiers of other versions normalised with mean and std."""
    composed = description.model.record.attribute("transforms")
    steps = composed.attribute("transforms") if isinstance(composed, Record) else None
    for step in steps if isinstance(steps, list) else []:
        if not isinstance(step, Record) or step.type.name != "Normalize":
            continue
        mean, std = (_setting(description, step.attribute(key)) for key in ("mean", "std"))
        if (mean, std) != ("0/0/0", "1/1/1"):
            yield Hazard(
                name="own_normalisation",
                found=f"the checkpoint's transforms normalise: mean {mean}, std {std}",
                next_step="write this mean and std into [contract]",
            )


def _head_values(description: Description) -> Iterator[tuple[str, str, str]]:
    head = description.architecture.head
    if isinstance(head, DetectLayer):
        strides = ", ".join(map(str, head.strides))
        yield "head.strides", strides, "recorded in the head and equal to the layers' strides"
        yield "head.boxes", "cx, cy, w, h in pixels", "the head is decoded inside, as in exports"
        yield "head.scores", f"{head.classes} sigmoid scores", "YOLOv8 has no objectness"
    else:
        yield "head.scores", f"{head.classes} softmax probabilities", "softmax is inside"


def _family(description: Description) -> str:
    table = namespace(description.model.record.attribute("yaml"))
    scale = _text(table.get("scale"))
    file_name = _text(table.get("yaml_file")).removesuffix(".yaml")
    return file_name or f"{description.model.record.type.name} {scale}".strip()


def _weights_dtype(description: Description) -> str:
    dtypes = {ref.storage.dtype for ref in description.model.tensors.values()}
    return ", ".join(sorted(d for d in dtypes if "float" in d))


def _metrics(description: Description) -> Iterator[tuple[str, float]]:
    fields = description.fields
    for key, value in namespace(fields.get("train_metrics")).items():
        if (figure := _finite(value)) is not None:
            yield key[:MAX_TEXT], figure
    if (best := _finite(fields.get("best_fitness"))) is not None:
        yield "best_fitness", best
    for key, column in namespace(fields.get("train_results")).items():
        last = _finite(column[-1]) if isinstance(column, list) and column else None
        if last is not None:
            yield f"last_epoch/{key[:MAX_TEXT]}", last


def _finite(value: object) -> float | None:
    """A number that JSON can carry."""
    figure = number(value)
    return figure if figure is not None and math.isfinite(figure) else None


def _text(value: object, *, is_path: bool = True) -> str:
    """A scalar as text; of a path only the last part, because evidence travels with artifacts."""
    if isinstance(value, Record) and value.type.module.startswith("pathlib") and value.args:
        value = value.args[-1]
    if isinstance(value, str):
        if is_path and "://" not in value:
            value = value.replace("\\", "/").rstrip("/").rpartition("/")[2]
        return value[:MAX_TEXT]
    if isinstance(value, list | tuple) and len(value) <= 8:
        return ", ".join(_text(item) for item in value if not isinstance(item, list | tuple))
    return repr(value) if number(value) is not None or isinstance(value, bool) else ""
