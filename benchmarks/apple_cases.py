"""The models of the assets that are captured, as builds for iPhones on a few of their images."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.acceptance import ASSETS, write_config
from benchmarks.acceptance_cases import BARE_WEIGHTS, CORE_ML, Case
from benchmarks.acceptance_cases import CASES as SOURCES

IMAGES: Final = 16
FEWER: Final = 8
"""Of networks that take a second an image in Apple's Linux runtime."""
_LARGE: Final = ("yolov8n_", "yolox_", "yolov5n", "deeplab")

FORMATS: Final = ("coreml", "coreai")
PRECISIONS: Final = ("float32", "float16")

_EVALUATION: Final = re.compile(r'^evaluation = "[^"]*"', re.MULTILINE)
_PICTURES: Final = (".jpg", ".jpeg", ".png", ".bmp")


@dataclass(frozen=True, kw_only=True)
class AppleCase:
    """One model. n: of its images, how many take part."""

    source: Case
    n: int

    @property
    def name(self) -> str:
        """The source's name."""
        return self.source.name


def _captured(case: Case) -> bool:
    return case.route == "direct" and case.refused not in (BARE_WEIGHTS, CORE_ML)


def _case(source: Case) -> AppleCase:
    large = any(word in source.model for word in _LARGE)
    return AppleCase(source=source, n=FEWER if large else IMAGES)


_BARE: Final = Case(
    model="models/detect/version-RFB-320.pth", factory="ultraface:rfb_320", task="raw"
)

CASES: Final = tuple(map(_case, (*filter(_captured, SOURCES), _BARE)))
"""Those of the long table that become a hub program, and one more that a factory builds."""


def smallest_first() -> list[AppleCase]:
    """By the bytes of the model's file."""
    return sorted(CASES, key=lambda case: (ASSETS / case.source.model).stat().st_size)


def prepare(case: AppleCase, folder: Path) -> None:
    """What `init` writes of the model with all its images, then the images that take part.

    These are copied without their labels: files are compared with the source, not with the truth.
    A folder that was prepared is left as it is.
    """
    config = folder / "phoneproof.toml"
    if config.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "init.toml"
    part.unlink(missing_ok=True)
    write_config(replace(case.source, precisions=()), part)
    pictures = folder / "images"
    pictures.mkdir(exist_ok=True)
    for picture in spread(case.source.images, case.n):
        shutil.copy(picture, pictures / f"{picture.parent.name}-{picture.name}")
    text = part.read_text().partition("\n[targets.")[0]
    part.write_text(_EVALUATION.sub('evaluation = "images"', text))
    part.replace(config)


def spread(images: str, count: int) -> list[Path]:
    """So many pictures of a folder of the assets, evenly spread over the sorted list."""
    found = sorted(p for p in (ASSETS / images).rglob("*") if p.suffix.lower() in _PICTURES)
    count = min(count, len(found))
    return [found[index * len(found) // count] for index in range(count)]


def build_config(folder: Path, formats: tuple[str, ...]) -> Path:
    """The configuration of a prepared folder for some of Apple's formats."""
    text = (folder / "phoneproof.toml").read_text()
    target = f"formats = {list(formats)}\nprecisions = {list(PRECISIONS)}".replace("'", '"')
    path = folder / f"{'-'.join(formats)}.toml"
    path.write_text(
        f'{text}\n[targets.ios]\n{target}\n\n[checks]\ncontract_search = "off"\n'
        f'\n[package]\ndirectory = "dist-{path.stem}"\n'
    )
    return path
