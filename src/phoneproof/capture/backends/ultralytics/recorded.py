"""Scalars and texts as a checkpoint recorded them, fit to travel with artifacts."""

from __future__ import annotations

import math
from collections.abc import Mapping

from phoneproof.capture.backends.torch_files.records import (
    ITEM_BYTES,
    Record,
    StorageRef,
    TensorRef,
    number,
)
from phoneproof.capture.backends.ultralytics.description import namespace

MAX_TEXT, MAX_VALUES = 200, 200_000


def settings(fields: Mapping[str, object]) -> Mapping[str, object]:
    """The training's own settings: Ultralytics calls them train_args, YOLOv5 opt."""
    return namespace(fields.get("train_args")) or namespace(fields.get("opt"))


def training_state(fields: Mapping[str, object]) -> str:
    """Where in its training a checkpoint was written: "epoch 12, fitness 0.61"; may be empty.

    An epoch of -1 means a finished training; its epochs are counted in the table of results.
    """
    epoch = number(fields.get("epoch"))
    columns = namespace(fields.get("train_results")).values()
    rows = max((len(c) for c in columns if isinstance(c, list)), default=0)
    fitness = finite(namespace(fields.get("train_metrics")).get("fitness"))
    best = finite(fields.get("best_fitness"))
    parts = (
        f"epoch {epoch:g}" if epoch is not None and epoch >= 0 else "",
        f"{rows} epochs in its results" if rows else "",
        f"fitness {fitness:g}" if fitness is not None else "",
        f"best fitness until then {best:g}" if best is not None else "",
    )
    return ", ".join(part for part in parts if part)


def tensor_bytes(value: object) -> int:
    """Bytes of all storages inside a pickled value, each counted once."""
    storages: set[StorageRef] = set()
    seen: set[int] = set()
    pending = [value]
    while pending and len(seen) < MAX_VALUES:
        item = pending.pop()
        if isinstance(item, TensorRef):
            storages.add(item.storage)
        elif isinstance(item, dict | list | tuple | Record) and id(item) not in seen:
            seen.add(id(item))
            pending.extend(_inside(item))
    return sum(ITEM_BYTES[storage.dtype] * storage.numel for storage in storages)


def _inside(
    value: dict[object, object] | list[object] | tuple[object, ...] | Record,
) -> list[object]:
    if isinstance(value, Record):
        pairs = [part for pair in value.items for part in pair]
        return [*value.args, value.state, *pairs, *value.elements]
    return list(value.values()) if isinstance(value, dict) else list(value)


def finite(value: object) -> float | None:
    """A number that JSON can carry."""
    figure = number(value)
    return figure if figure is not None and math.isfinite(figure) else None


def as_text(value: object, *, is_path: bool = True) -> str:
    """A scalar as text; of a path only the last part, because evidence travels with artifacts."""
    if isinstance(value, Record) and value.type.module.startswith("pathlib") and value.args:
        value = value.args[-1]
    if isinstance(value, str):
        if is_path and "://" not in value:
            value = value.replace("\\", "/").rstrip("/").rpartition("/")[2]
        return value[:MAX_TEXT]
    if isinstance(value, list | tuple) and len(value) <= 8:
        return ", ".join(as_text(item) for item in value if not isinstance(item, list | tuple))
    return repr(value) if number(value) is not None or isinstance(value, bool) else ""
