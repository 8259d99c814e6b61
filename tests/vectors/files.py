"""The files: which areas there are, and their bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from tests.assets import ROOT
from tests.vectors import (
    colours,
    decode,
    geometry,
    images,
    inverse,
    resize,
    tables,
    tensor,
    yuv,
)
from tests.vectors.types import SCHEMA, Case

FOLDER: Final = ROOT / "mobile" / "vectors"

AREAS: Final[Mapping[str, Callable[[], Iterable[Case]]]] = MappingProxyType(
    {
        "resize": resize.cases,
        "geometry": geometry.cases,
        "tensor": tensor.cases,
        "tables": tables.cases,
        "gray": colours.gray_cases,
        "alpha": colours.alpha_cases,
        "orientation": colours.orientation_cases,
        "inverse": inverse.cases,
        "decode": decode.cases,
        "yuv": yuv.cases,
        "images": images.cases,
    }
)
"""Name of each file, without its suffix, and what makes its cases."""


def content(area: str, cases: Iterable[Case]) -> bytes:
    """One vector file: JSON with one case a line, so that a change shows as the lines it touches.

    Raises:
        ValueError: two cases of one id.
    """
    listed = list(cases)
    repeated = len(listed) - len({case.id for case in listed})
    if repeated:
        raise ValueError(f"{repeated} ids of {area} are used twice")
    lines = b",\n".join(msgspec.json.encode(case) for case in listed)
    head = msgspec.json.encode({"schema": SCHEMA, "area": area})[:-1]
    return head + b',"cases":[\n' + lines + b"\n]}\n"


def write(folder: Path = FOLDER) -> None:
    """Write every area's file."""
    folder.mkdir(parents=True, exist_ok=True)
    for area, cases in AREAS.items():
        (folder / f"{area}.json").write_bytes(content(area, cases()))
