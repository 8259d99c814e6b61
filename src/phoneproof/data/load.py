"""From a folder to an `ImageSet`: readable images, each once, with labels of the contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

from phoneproof.core.check import Split
from phoneproof.core.contract import Task
from phoneproof.core.dataset import ImageItem, ImageSet, LabelledBox
from phoneproof.core.errors import InvalidInput
from phoneproof.core.events import Progress, silent
from phoneproof.data.annotations import NO_LABELS, Annotations, Stated
from phoneproof.data.coco_json import read_coco
from phoneproof.data.csv_labels import read_csv
from phoneproof.data.files import (
    ImageFile,
    ReadableImage,
    UnreadableImage,
    list_images,
    read_all,
)
from phoneproof.data.layout import Layout, detect_layout
from phoneproof.data.match import Matcher, match_classes
from phoneproof.data.yolo_txt import read_yolo

MIN_IMAGES: Final = 1
"""Fewer readable images than this prove nothing."""

SHOWN_REASONS: Final = 3


def load_images(
    folder_or_file: Path,
    *,
    labels: Path | None = None,
    contract_labels: tuple[str | None, ...],
    task: Task,
    class_index: Callable[[int], int],
    split: Split = "all",
    progress: Progress = silent,
) -> ImageSet:
    """Read a data set: a folder of images, folder per class, YOLO txt, COCO json or csv.

    Images that cannot be used (unreadable, too large, labels missing or broken, the same bytes
    as another) are left out and listed in `skipped`. Images are ordered by content hash.

    Args:
        labels: a labels file or folder; null: whatever lies beside the images.
        contract_labels: the contract's labels; null entries are background or gaps.
        task: "raw" reads no labels, which is also right for calibration images.
        class_index: `Contract.class_index`, data-set class number -> label index.
        progress: called with (images read, images in all).

    Raises:
        InvalidInput: no such folder, no image in it, or none that can be read.
        ConfigError: labels name classes that the contract does not know (all are listed).
    """
    files = list_images(folder_or_file)
    if not files:
        raise InvalidInput(
            f"no images in {folder_or_file}",
            found="no file with an image suffix (.jpg, .png, .bmp, .webp, .tif, ...)",
            next_step="name the folder that holds the evaluation images",
        )
    layout = detect_layout(folder_or_file, files, labels=labels, task=task)
    annotations = read_annotations(layout, files)
    matcher = match_classes(annotations, contract_labels, class_index)
    unusable = {name for name, _ in annotations.problems}
    wanted = tuple(file for file in files if file.name not in unusable)
    good, bad = read_all(wanted, progress)
    return _image_set(good, bad, annotations, matcher, split)


def read_annotations(layout: Layout, files: tuple[ImageFile, ...]) -> Annotations:
    """What a data set of a recognised layout states of its images.

    Raises:
        InvalidInput: the labels file cannot be read.
    """
    if layout.kind == "yolo":
        return read_yolo(files, layout.labels, layout.class_names)
    if layout.kind == "folder_per_class":
        by_image = {f.name: Stated(label=PurePosixPath(f.name).parts[0]) for f in files}
        return Annotations(
            by_image=by_image, class_names=layout.class_names, source="the class folders"
        )
    if layout.labels is None:
        return NO_LABELS
    return (read_coco if layout.kind == "coco" else read_csv)(layout.labels, files)


def _image_set(
    good: tuple[ReadableImage, ...],
    bad: tuple[UnreadableImage, ...],
    annotations: Annotations,
    matcher: Matcher,
    split: Split,
) -> ImageSet:
    skipped = [*annotations.problems, *((image.name, image.reason) for image in bad)]
    kept: dict[str, ImageItem] = {}
    for image in good:
        stated = annotations.by_image.get(image.name, Stated())
        if reason := _size_fault(stated, image.size):
            skipped.append((image.name, reason))
            continue
        item = _item(image, stated, matcher)
        first = kept.setdefault(image.sha256, item)
        if first is not item:
            skipped.append((image.name, _duplicate_reason(first, item)))
    if len(kept) < MIN_IMAGES:
        raise _too_few(skipped)
    items = tuple(kept[sha256] for sha256 in sorted(kept))
    return ImageSet(split=split, items=items, skipped=tuple(sorted(skipped)))


def _item(image: ReadableImage, stated: Stated, matcher: Matcher) -> ImageItem:
    boxes = None
    if stated.boxes is not None:
        boxes = tuple(
            LabelledBox(label=matcher.index(box.class_ref), xyxy=box.xyxy, crowd=box.crowd)
            for box in stated.boxes
        )
    return ImageItem(
        name=image.name,
        path=image.path,
        sha256=image.sha256,
        label=None if stated.label is None else matcher.index(stated.label),
        boxes=boxes,
    )


def _size_fault(stated: Stated, size: tuple[int, int]) -> str:
    """Why boxes annotated on a picture of another size cannot be used, or an empty string."""
    if stated.size is None or stated.size == size:
        return ""
    annotated = f"{stated.size[1]} x {stated.size[0]}"
    return f"annotated as {annotated} pixels, but is {size[1]} x {size[0]} after EXIF rotation"


def _duplicate_reason(first: ImageItem, item: ImageItem) -> str:
    if (first.label, first.boxes) != (item.label, item.boxes):
        return f"the same bytes as {first.name}, but labelled differently; the first one counts"
    return f"the same bytes as {first.name}"


def _too_few(skipped: list[tuple[str, str]]) -> InvalidInput:
    shown = "; ".join(f"{name}: {reason}" for name, reason in sorted(skipped)[:SHOWN_REASONS])
    return InvalidInput(
        "too few usable images are left",
        found=f"{len(skipped)} left out, at least {MIN_IMAGES} needed ({shown})",
        next_step="replace the broken images or correct the labels",
    )
