"""YOLO labels: one .txt an image, a line an object: class, then a box or a polygon.

A box is centre x, centre y, width, height; a polygon is x, y pairs, of which the bounding box
counts. All are fractions of the oriented image. An image without a file has no objects.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Final

from phoneproof.data.annotations import Annotations, Stated, StatedBox, clipped_box
from phoneproof.data.files import ImageFile

MAX_TEXT_BYTES: Final = 16 << 20
OUTSIDE: Final = 0.01
"""How far outside 0..1 a coordinate may lie: the rounding of labelling tools, not pixels."""

_BOX_COLUMNS: Final = 5
_POLYGON_COLUMNS: Final = 7


def yolo_labels_root(root: Path) -> Path | None:
    """The folder of .txt files that mirrors an image folder, by the usual naming.

    ``root/images`` has ``root/labels``; ``.../images/val`` has ``.../labels/val``.
    """
    if (root / "images").is_dir() and (root / "labels").is_dir():
        return root / "labels"
    parts = root.absolute().parts
    for index in range(len(parts) - 1, 0, -1):
        if parts[index] == "images":
            mirrored = Path(*parts[:index], "labels", *parts[index + 1 :])
            return mirrored if mirrored.is_dir() else None
    return None


def txt_beside(file: ImageFile) -> Path | None:
    """The .txt of the same stem beside an image, where there is one."""
    text = file.path.with_suffix(".txt")
    return text if text.is_file() else None


def is_yolo_text(path: Path) -> bool:
    """Whether a .txt file holds YOLO boxes (an empty one does: an image without objects)."""
    try:
        read_boxes(path)
    except (OSError, ValueError):
        return False
    return True


def read_yolo(
    files: tuple[ImageFile, ...], labels_root: Path | None, class_names: tuple[str, ...]
) -> Annotations:
    """Boxes of every image. labels_root null: the .txt files lie beside the images."""
    by_image: dict[str, Stated] = {}
    problems: list[tuple[str, str]] = []
    for file in files:
        text = _label_file(file, labels_root)
        try:
            boxes = read_boxes(text) if text.is_file() else ()
            by_image[file.name] = Stated(boxes=boxes)
        except (OSError, ValueError) as error:
            problems.append((file.name, f"its label file {text.name}: {_text(error)}"))
    return Annotations(
        by_image=by_image,
        class_names=class_names,
        source="the YOLO labels",
        problems=tuple(problems),
    )


def _label_file(file: ImageFile, labels_root: Path | None) -> Path:
    if labels_root is None:
        return file.path.with_suffix(".txt")
    relative = PurePosixPath(file.name).with_suffix(".txt")
    if relative.parts[0] == "images":
        relative = PurePosixPath(*relative.parts[1:])
    return labels_root / relative


def read_boxes(path: Path) -> tuple[StatedBox, ...]:
    """Boxes of one file.

    Raises:
        ValueError: a line is not a class and a box; says which line and what is wrong.
        OSError: the file cannot be read.
    """
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise ValueError("too large to be a label file")
    boxes: list[StatedBox] = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if columns := line.split():
            try:
                boxes.append(_box(columns))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
    return tuple(dict.fromkeys(boxes))


def _box(columns: list[str]) -> StatedBox:
    class_number, numbers = float(columns[0]), [float(column) for column in columns[1:]]
    if class_number < 0 or not class_number.is_integer():
        raise ValueError(f"{columns[0]!r} is not a class number")
    if len(columns) != _BOX_COLUMNS and (len(columns) < _POLYGON_COLUMNS or len(numbers) % 2):
        raise ValueError(f"{len(columns)} columns, expected 5 (a box) or a polygon's 7, 9, ...")
    if not all(-OUTSIDE <= number <= 1 + OUTSIDE for number in numbers):
        raise ValueError("a coordinate outside 0..1 (fractions of the image, not pixels)")
    if len(columns) == _BOX_COLUMNS:
        x, y, width, height = numbers
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    else:
        xs, ys = numbers[0::2], numbers[1::2]
        corners = (min(xs), min(ys), max(xs), max(ys))
    return StatedBox(class_ref=int(class_number), xyxy=clipped_box(*corners))


def _text(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not text"
    return error.strerror or "cannot be read" if isinstance(error, OSError) else str(error)
