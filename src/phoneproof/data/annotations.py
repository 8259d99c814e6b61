"""Labels as a data set states them, before they are matched with the contract's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ClassRef = int | str
"""A data-set class: its number, or its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StatedBox:
    """One box as stated: xyxy as fractions of the oriented image, 0..1, x1 < x2, y1 < y2."""

    class_ref: ClassRef
    xyxy: tuple[float, float, float, float]
    crowd: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Stated:
    """What is stated of one image. `size`: annotated [height, width], where the file says so."""

    label: ClassRef | None = None
    boxes: tuple[StatedBox, ...] | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotations:
    """Labels of one data set.

    by_image: image name (POSIX path inside the data set) -> what is stated of it.
    class_names: the data set's own class list in index order, where it has one.
    source: where the labels were read, for messages.
    problems: (image name, why) of images whose labels cannot be used.
    """

    by_image: Mapping[str, Stated]
    class_names: tuple[str, ...] = ()
    source: str = ""
    problems: tuple[tuple[str, str], ...] = field(default=())


NO_LABELS = Annotations(by_image={})


def clipped_box(x1: float, y1: float, x2: float, y2: float) -> tuple[float, float, float, float]:
    """The part of a box inside the image, all in fractions.

    Raises:
        ValueError: a number is not finite, or nothing of the box is inside the image.
    """
    left, top = max(0.0, x1), max(0.0, y1)
    right, bottom = min(1.0, x2), min(1.0, y2)
    if not (left < right and top < bottom):  # also false for NaN
        raise ValueError("a box without area inside the image")
    return (left, top, right, bottom)
