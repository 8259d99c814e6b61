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
from tests.vectors.documents import schema
from tests.vectors.types import Case

FOLDER: Final = ROOT / "mobile" / "vectors"
SCHEMA_FILE: Final = "schema.json"

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
    head = b'{"schema":"phoneproof.vectors/1","area":"%b","cases":[' % area.encode()
    return head + b"\n" + lines + b"\n]}\n"


def names() -> tuple[str, ...]:
    """The files of the folder that are made."""
    return (SCHEMA_FILE, *(f"{area}.json" for area in AREAS))


def made(name: str) -> bytes:
    """The bytes of one file."""
    if name == SCHEMA_FILE:
        return schema()
    area = name.removesuffix(".json")
    return content(area, AREAS[area]())


def write(folder: Path = FOLDER) -> None:
    """Write every file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names():
        (folder / name).write_bytes(made(name))
