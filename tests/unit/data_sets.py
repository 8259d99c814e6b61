"""Small data sets that the data tests write."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from phoneproof.core.contract import Task
from phoneproof.core.dataset import ImageSet
from phoneproof.data.load import load_images


def picture(seed: int = 0, *, format_: str = "PNG", size: tuple[int, int] = (16, 12)) -> bytes:
    """Bytes of a picture of `size` (width, height); different for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format=format_)
    return stream.getvalue()


def write(path: Path, content: bytes | str) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def indexer(labels: tuple[str | None, ...]) -> Callable[[int], int]:
    """What `Contract.class_index` does."""
    named = [index for index, label in enumerate(labels) if label is not None]
    return lambda number: named[number]


def load(
    folder: Path,
    labels: tuple[str | None, ...] = (),
    task: Task = "classify",
    label_file: Path | None = None,
) -> ImageSet:
    """`load_images` with the class order of `labels`."""
    return load_images(
        folder,
        labels=label_file,
        contract_labels=labels,
        task=task,
        class_index=indexer(labels),
    )
