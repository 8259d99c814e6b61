"""What a layer table says once for all rows: multiples, class count, the head's variant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from phoneproof.capture.backends.torch_files.records import number
from phoneproof.capture.backends.ultralytics.literals import NAME, count, refuse
from phoneproof.core.errors import Unsupported

MAX_CLASSES, MAX_BINS, MAX_ANCHORS = 65536, 64, 16
DEFAULT_BINS = 16
"""Bins of YOLOv8's distance distribution (Li et al. 2020, "Generalized Focal Loss")."""

_DEEP_SCALES = frozenset("mlx")
"""Sizes of YOLO11 and YOLO26 whose C3k2 links are nested C3 blocks in every row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Multiples of depth and width, and what the head needs.

    unscaled: the one width that is left alone. deep: C3k2 is nested everywhere. anchors: boxes a
    cell of YOLOv5's head, None for anchor-free families.
    """

    depth: float
    width: float
    max_channels: float
    classes: int
    unscaled: int
    deep: bool
    bins: int
    depthwise: bool
    end_to_end: bool
    anchors: int | None

    def channels(self, wanted: int) -> int:
        """ceil(min(wanted, max_channels) * width / 8) * 8."""
        # The originals leave a width that equals the head's own alone (meant for classifiers).
        if wanted == self.unscaled:
            return wanted
        return math.ceil(min(wanted, self.max_channels) * self.width / 8) * 8

    def repeats(self, wanted: int) -> int:
        """max(round(wanted * depth), 1)."""
        return max(round(wanted * self.depth), 1) if wanted > 1 else wanted


def read_scale(table: Mapping[str, object], modules: frozenset[str]) -> Scale:
    """The scale of a table whose rows name `modules`.

    Raises:
        InvalidInput: numbers out of range or of another type.
        Unsupported: an activation that is not rebuilt.
    """
    depth, width, limit = _multiples(table)
    if not (0 < depth <= 16 and 0 < width <= 16 and limit > 0):
        refuse("depth, width and channel limit", f"{depth}, {width}, {limit}")
    classes = count(table.get("nc"), "class count nc", MAX_CLASSES)
    _check_activation(table.get("activation"))
    anchors = _anchors(table.get("anchors"))
    end_to_end = table.get("end2end", False)
    if not isinstance(end_to_end, bool):
        refuse("end2end", end_to_end)
    return Scale(
        depth=depth,
        width=width,
        max_channels=limit,
        classes=classes,
        unscaled=classes if anchors is None else anchors * (classes + 5),
        deep=_named(table) in _DEEP_SCALES,
        bins=count(table.get("reg_max", DEFAULT_BINS), "reg_max", MAX_BINS),
        # The families that brought C3k2 brought the depthwise class branch with it.
        depthwise="C3k2" in modules,
        end_to_end=end_to_end,
        anchors=anchors,
    )


def _check_activation(activation: object) -> None:
    if activation in (None, "nn.SiLU()", "torch.nn.SiLU()"):
        return
    if not isinstance(activation, str) or not NAME.fullmatch(activation.removesuffix("()")):
        refuse("activation", activation)
    raise Unsupported(f"the activation {activation} is not rebuilt")


def _anchors(value: object) -> int | None:
    """YOLOv5 writes widths and heights of each level in pixels, or how many there are."""
    if value is None:
        return None
    if not isinstance(value, list | tuple):
        return count(value, "anchors", MAX_ANCHORS)
    sizes = {len(level) if isinstance(level, list | tuple) else 0 for level in value[:16]}
    if len(sizes) != 1 or (size := sizes.pop()) % 2 or not 1 <= size // 2 <= MAX_ANCHORS:
        refuse("anchors", value)
    return size // 2


def _multiples(table: Mapping[str, object]) -> tuple[float, float, float]:
    """Depth, width, channel limit: from ``scales[scale]``, else from the older two multiples."""
    scales = table.get("scales")
    if isinstance(scales, dict) and scales:
        key = _named(table)
        row = scales.get(key)
        numbers = [number(item) for item in row] if isinstance(row, list | tuple) else []
        if len(numbers) != 3 or None in numbers:
            refuse("scale", table.get("scale"))
        depth, width, limit = (item or 0.0 for item in numbers)
        return depth, width, limit
    depth = number(table.get("depth_multiple", 1.0)) or 0.0
    return depth, number(table.get("width_multiple", 1.0)) or 0.0, math.inf


def _named(table: Mapping[str, object]) -> str:
    """The name of the scale: where none is chosen, the first that is listed."""
    scales = table.get("scales")
    key = table.get("scale") or (next(iter(scales), "") if isinstance(scales, dict) else "")
    return key if isinstance(key, str) else ""
