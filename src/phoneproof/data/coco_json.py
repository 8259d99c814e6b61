"""COCO detection annotations: one .json with images, annotations and categories."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

import msgspec

from phoneproof.core.errors import InvalidInput
from phoneproof.data.annotations import Annotations, Stated, StatedBox, clipped_box
from phoneproof.data.files import ImageFile
from phoneproof.data.listing import NameIndex

MAX_JSON_BYTES: Final = 2 << 30
"""instances_train2017.json has 0.45 GB; the file is parsed in memory."""

_HEAD_BYTES: Final = 1 << 16


class _Image(msgspec.Struct, frozen=True):
    id: int | str
    file_name: str
    width: int
    height: int


class _Annotation(msgspec.Struct, frozen=True):
    image_id: int | str
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int = 0


class _Category(msgspec.Struct, frozen=True):
    id: int
    name: str


class _Coco(msgspec.Struct, frozen=True):
    images: tuple[_Image, ...]
    categories: tuple[_Category, ...]
    annotations: tuple[_Annotation, ...]


class _Shape(msgspec.Struct, frozen=True):
    images: msgspec.Raw
    categories: msgspec.Raw
    annotations: msgspec.Raw


def is_coco(path: Path) -> bool:
    """Whether a file is a JSON object with images, annotations and categories."""
    try:
        if path.suffix.lower() != ".json" or path.stat().st_size > MAX_JSON_BYTES:
            return False
        with path.open("rb") as stream:
            if not stream.read(_HEAD_BYTES).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                return False
        msgspec.json.decode(path.read_bytes(), type=_Shape)
    except (OSError, msgspec.DecodeError):
        return False
    return True


def read_coco(path: Path, files: tuple[ImageFile, ...]) -> Annotations:
    """Boxes of every image the file lists; an image listed without boxes is an empty one.

    Category ids may have gaps: classes are matched by name, and numbered in the order of ids.

    Raises:
        InvalidInput: the file is not such a JSON, or refers to images or categories it lacks.
    """
    coco = _parse(path)
    names = NameIndex(files)
    categories = {category.id: category.name for category in coco.categories}
    boxes = defaultdict[int | str, list[_Annotation]](list)
    for annotation in coco.annotations:
        boxes[annotation.image_id].append(annotation)
    by_image: dict[str, Stated] = {}
    problems: dict[str, str] = {}
    for image in coco.images:
        name = names.find(image.file_name)
        if name is None:
            problems[image.file_name] = f"listed in {path.name}, but not in the folder"
            continue
        try:
            by_image[name] = _stated(image, boxes[image.id], categories)
        except (ValueError, KeyError) as error:
            problems[name] = f"its annotation in {path.name}: {error.args[0]}"
    for file in files:
        if file.name not in by_image:
            problems.setdefault(file.name, f"not listed in {path.name}")
    ordered = sorted(coco.categories, key=lambda category: category.id)
    return Annotations(
        by_image=by_image,
        class_names=tuple(category.name for category in ordered),
        source=path.name,
        problems=tuple(problems.items()),
    )


def coco_names(path: Path) -> tuple[str, ...]:
    """Category names in the order of their ids."""
    return tuple(c.name for c in sorted(_parse(path).categories, key=lambda c: c.id))


def _parse(path: Path) -> _Coco:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Coco)
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidInput(
            f"{path.name} cannot be read as COCO annotations", found=str(error)
        ) from error


def _stated(image: _Image, annotations: list[_Annotation], categories: dict[int, str]) -> Stated:
    if image.width < 1 or image.height < 1:
        raise ValueError(f"an image of {image.width} x {image.height} pixels")
    boxes = tuple(_box(image, a, categories) for a in annotations)
    return Stated(boxes=boxes, size=(image.height, image.width))


def _box(image: _Image, annotation: _Annotation, categories: dict[int, str]) -> StatedBox:
    if annotation.category_id not in categories:
        raise ValueError(f"category {annotation.category_id} is not among the categories")
    x, y, width, height = annotation.bbox
    return StatedBox(
        class_ref=categories[annotation.category_id],
        xyxy=clipped_box(
            x / image.width,
            y / image.height,
            (x + width) / image.width,
            (y + height) / image.height,
        ),
        crowd=bool(annotation.iscrowd),
    )
