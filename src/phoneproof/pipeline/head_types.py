"""``[head]`` of phoneproof.toml as types: one to one the head of `phoneproof.core.capture`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from phoneproof.core.binding import Activation, Axis, Box, GridAnchors, Role, YoloAnchors
from phoneproof.core.schema import SchemaType
from phoneproof.pipeline.config_faults import Fault


class HeadOutputConfig(SchemaType, frozen=True, kw_only=True):
    """One role carried by an output tensor or by a slice of it (see the binding's outputs).

    tensor: the name in the model file; its shape and dtype are read there.
    """

    tensor: str
    role: Role
    axes: tuple[Axis, ...] = ()
    slice: tuple[int, int] | None = None
    level: int | None = None
    packed: int = 1
    class_offset: int = 0
    activation: Activation = "none"
    box: Box | None = None


class HeadConfig(SchemaType, frozen=True, kw_only=True):
    """``[head]``: what the outputs mean, where that is not recognised or recognised wrongly.

    priors: a .npy, .csv or .f32 file of rows cx, cy, w, h, instead of anchors.
    """

    outputs: tuple[HeadOutputConfig, ...]
    anchors: GridAnchors | YoloAnchors | None = None
    priors: Path | None = None
    nms_in_file: bool = False


def head_value_faults(section: HeadConfig | None) -> Iterator[Fault]:
    """What is wrong whatever the model."""
    if section is None:
        return
    if not section.outputs:
        yield Fault(place="head.outputs", what="empty")
    for place, output in enumerate(section.outputs):
        where = f"head.outputs[{place}]"
        if output.slice is not None and not 0 <= output.slice[0] < output.slice[1]:
            what = f"{list(output.slice)} is not [first, end) with first < end"
            yield Fault(place=f"{where}.slice", what=what)
        if output.packed < 1:
            yield Fault(place=f"{where}.packed", what="must be at least 1")
        if output.role in ("boxes", "dfl") and output.box is None:
            what = f"missing: say what the numbers of role {output.role} mean"
            yield Fault(place=f"{where}.box", what=what)
