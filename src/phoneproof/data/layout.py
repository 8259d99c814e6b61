"""Which of the known data-set layouts a folder is, and why we think so."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Literal

from phoneproof.core.contract import Task
from phoneproof.core.errors import ConfigError, InvalidInput
from phoneproof.data.class_names import read_names
from phoneproof.data.coco_json import coco_names, is_coco
from phoneproof.data.csv_labels import is_label_csv
from phoneproof.data.files import ImageFile
from phoneproof.data.yolo_txt import is_yolo_text, txt_beside, yolo_labels_root

LayoutKind = Literal["plain", "folder_per_class", "csv", "yolo", "coco"]

SAMPLED_FILES: Final = 20
"""How many label files are looked at to recognise YOLO txt."""

_NAMES_FILES: Final = ("data.yaml", "data.yml", "dataset.yaml", "classes.txt", "obj.names")


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """A recognised data set.

    labels: the file or folder that carries the labels (null: folder names, or none).
    class_names: in index order, where the data set has a list of its own.
    reason: a sentence for people.
    """

    kind: LayoutKind
    reason: str
    labels: Path | None = None
    class_names: tuple[str, ...] = ()


def detect_layout(
    root: Path, files: tuple[ImageFile, ...], *, labels: Path | None, task: Task
) -> Layout:
    """Recognise a data set.

    Args:
        root: the folder (or single image).
        files: its images, from `list_images`.
        labels: a labels file or folder the user named; it wins over what lies around.
        task: classify looks for folders and csv, detect for YOLO and COCO, raw for nothing.

    Raises:
        ConfigError: `labels` is not a kind of labels that fits the task.
        InvalidInput: `labels` does not exist, or a names file is unreadable.
    """
    if task == "raw":
        return Layout(kind="plain", reason="a raw model has no labels to compare with")
    if labels is not None:
        return _named(root, labels, task)
    if root.is_file():
        return Layout(kind="plain", reason="a single image")
    found = _classify_layout(root, files) if task == "classify" else _detect_layout(root, files)
    return found or Layout(kind="plain", reason="no labels found beside the images")


def class_names(root: Path, files: tuple[ImageFile, ...]) -> tuple[str, ...]:
    """Class names the data set brings, in index order; empty where it has none.

    Folder names come in sorted order, which is how the common loaders number them.
    """
    for task in ("detect", "classify"):
        layout = detect_layout(root, files, labels=None, task=task)
        if layout.class_names:
            return layout.class_names
    return ()


def _named(root: Path, labels: Path, task: Task) -> Layout:
    if not labels.exists():
        raise InvalidInput(f"no such labels file: {labels}", next_step="check [data] labels")
    reason = f"{labels.name} was named as the labels"
    if task == "classify" and labels.is_file() and is_label_csv(labels):
        return Layout(kind="csv", labels=labels, reason=reason)
    if task == "detect":
        if labels.is_dir():
            return Layout(
                kind="yolo", labels=labels, class_names=_yolo_names(root, labels), reason=reason
            )
        if is_coco(labels):
            return _coco(labels, reason)
    wanted = {
        "classify": "a csv file with the columns file and label",
        "detect": "a folder of YOLO .txt files or a COCO .json file",
    }[task]
    raise ConfigError(
        f"{labels.name} does not carry labels for the task {task}",
        found="a folder" if labels.is_dir() else f"a file {labels.suffix or 'without suffix'}",
        next_step=f"name {wanted}, or leave [data] labels out",
    )


def _classify_layout(root: Path, files: tuple[ImageFile, ...]) -> Layout | None:
    for candidate in _candidates(root, ".csv"):
        if is_label_csv(candidate):
            reason = f"{candidate.name} has the columns file and label"
            return Layout(kind="csv", labels=candidate, reason=reason)
    folders = sorted({file.name.split("/", 1)[0] for file in files if "/" in file.name})
    at_top = any("/" not in file.name for file in files)
    if len(folders) < 2 or at_top or "labels" in folders:
        return None
    reason = f"every image lies in one of {len(folders)} folders: one per class"
    return Layout(kind="folder_per_class", class_names=tuple(folders), reason=reason)


def _detect_layout(root: Path, files: tuple[ImageFile, ...]) -> Layout | None:
    for candidate in _candidates(root, ".json"):
        if is_coco(candidate):
            reason = f"{candidate.name} has images, annotations and categories (COCO)"
            return _coco(candidate, reason)
    labels_root = yolo_labels_root(root)
    if labels_root is not None:
        reason = "a labels folder beside the images folder (YOLO txt)"
        names = _yolo_names(root, labels_root)
        return Layout(kind="yolo", labels=labels_root, class_names=names, reason=reason)
    beside = islice((t for f in files if (t := txt_beside(f)) is not None), SAMPLED_FILES)
    texts = tuple(beside)
    if texts and all(is_yolo_text(text) for text in texts):
        reason = "a .txt file of boxes beside each image (YOLO txt)"
        return Layout(kind="yolo", class_names=_yolo_names(root, None), reason=reason)
    return None


def _coco(labels: Path, reason: str) -> Layout:
    return Layout(kind="coco", labels=labels, class_names=coco_names(labels), reason=reason)


def _candidates(root: Path, suffix: str) -> tuple[Path, ...]:
    """Files of a suffix in the folder itself and in its annotations folders, by name."""
    places = (root, root / "annotations", root.parent / "annotations")
    return tuple(
        path
        for place in places
        if place.is_dir()
        for path in sorted(place.iterdir())
        if path.suffix.lower() == suffix and path.is_file() and not path.name.startswith(".")
    )


def _yolo_names(root: Path, labels_root: Path | None) -> tuple[str, ...]:
    """Names from a names file in the labels folder, the image folder or the two above it."""
    places = [root, root.parent, root.parent.parent]
    if labels_root is not None:
        places.insert(0, labels_root)
    for place in places:
        fixed = [place / name for name in _NAMES_FILES]
        yamls = sorted([*place.glob("*.yaml"), *place.glob("*.yml")])
        for path in [*fixed, *yamls]:
            if path.is_file() and (names := read_names(path)):
                return names
    return ()
