"""What came with the weights: settings, metrics, names, licence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from phoneproof.capture.backends.torch_files.records import number
from phoneproof.capture.backends.ultralytics.description import Description, namespace
from phoneproof.capture.backends.ultralytics.recorded import (
    MAX_TEXT,
    as_text,
    finite,
    settings,
)
from phoneproof.core.capture import Evidence, Finding

DEFAULT_SIZE = 640
"""Ultralytics' own default of imgsz."""

MAX_PAIRS = 400

YOLOV5_SIZES: Mapping[tuple[float, float], str] = MappingProxyType(
    {(0.33, 0.25): "n", (0.33, 0.5): "s", (0.67, 0.75): "m", (1.0, 1.0): "l", (1.33, 1.25): "x"}
)
"""Letter of the published models by their multiples of depth and width."""


def evidence_of(description: Description) -> Evidence:
    """Training settings and metrics as recorded; paths are reduced to their last part."""
    fields = description.fields
    framework = "yolov5" if description.model.is_yolov5 else "ultralytics"
    return Evidence(
        framework=f"{framework} {as_text(fields.get('version'))}".strip(),
        family=_family(description),
        independent=False,
        license=as_text(fields.get("license"), is_path=False),
        training=tuple(_training(description))[:MAX_PAIRS],
        metrics=tuple(_metrics(description))[:MAX_PAIRS],
    )


def image_size(description: Description) -> tuple[tuple[int, int], Finding]:
    """[height, width] from the training's imgsz, else 640; a multiple of the largest stride."""
    recorded = settings(description.fields).get("imgsz")
    sides = recorded if isinstance(recorded, list | tuple) else (recorded, recorded)
    usable = [s for s in sides if isinstance(s, int) and not isinstance(s, bool)]
    reason = "the training settings in the checkpoint"
    if len(sides) != 2 or len(usable) != 2 or not all(1 <= side <= 16384 for side in usable):
        usable = [DEFAULT_SIZE, DEFAULT_SIZE]
        reason = "the checkpoint records no usable imgsz; 640 is the framework's default"
    step = description.architecture.step
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


def _training(description: Description) -> Iterator[tuple[str, str]]:
    fields = description.fields
    for key in ("date", "version", "epoch", "docs"):
        if text := as_text(fields.get(key)):
            yield f"checkpoint.{key}", text
    chosen = settings(fields)
    # YOLOv5 keeps its hyperparameters with the model.
    hyper = namespace(description.model.record.attribute("hyp"))
    for table in (chosen, {key: value for key, value in hyper.items() if key not in chosen}):
        for key, value in table.items():
            if text := as_text(value):
                yield key[:MAX_TEXT], text


def _family(description: Description) -> str:
    table = namespace(description.model.record.attribute("yaml"))
    if file_name := as_text(table.get("yaml_file")).removesuffix(".yaml"):
        return file_name
    if description.model.is_yolov5:
        multiples = (number(table.get("depth_multiple")), number(table.get("width_multiple")))
        return f"yolov5{_letter(multiples)}"
    return f"{description.model.record.type.name} {as_text(table.get('scale'))}".strip()


def _letter(multiples: tuple[float | None, float | None]) -> str:
    depth, width = multiples
    return "" if depth is None or width is None else YOLOV5_SIZES.get((depth, width), "")


def _metrics(description: Description) -> Iterator[tuple[str, float]]:
    fields = description.fields
    for key, value in namespace(fields.get("train_metrics")).items():
        if (figure := finite(value)) is not None:
            yield key[:MAX_TEXT], figure
    if (best := finite(fields.get("best_fitness"))) is not None:
        yield "best_fitness", best
    for key, column in namespace(fields.get("train_results")).items():
        last = finite(column[-1]) if isinstance(column, list) and column else None
        if last is not None:
            yield f"last_epoch/{key[:MAX_TEXT]}", last
