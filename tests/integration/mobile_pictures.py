"""Pictures that decoders read in their own ways, made of photographs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from tests.assets import asset

ORIENTATION: Final = 0x0112
TURNED: Final = (6, 3, 5)
"""EXIF: a quarter turn, upside down, and a mirror image that is turned."""

ODD: Final = 9
"""How many pictures are not photographs as they are."""


def write_pictures(photographs: Sequence[Path], folder: Path, *, count: int) -> None:
    """`count` pictures: one of each odd kind, and photographs as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_odd(photographs, folder)
    for path in photographs[: count - ODD]:
        shutil.copyfile(path, folder / path.name)


def _write_odd(photographs: Sequence[Path], folder: Path) -> None:
    """Turned by their tag, grey, CMYK, progressive, full chroma, transparent, Display P3."""

    def photograph(place: int) -> Image.Image:
        with Image.open(photographs[place % len(photographs)]) as image:
            return image.convert("RGB")

    for place, tag in enumerate(TURNED):
        exif = Image.Exif()
        exif[ORIENTATION] = tag
        photograph(place).save(folder / f"turned-{tag}.jpg", quality=90, exif=exif)
    photograph(3).convert("L").save(folder / "grey.jpg", quality=90)
    photograph(4).convert("CMYK").save(folder / "cmyk.jpg", quality=90)
    photograph(5).save(folder / "progressive.jpg", quality=80, progressive=True)
    photograph(6).save(folder / "full-chroma.jpg", quality=95, subsampling=0)
    _half_transparent(photograph(7)).save(folder / "alpha.png")
    shutil.copyfile(asset("images/single/bus.jpg"), folder / "display-p3.jpg")


def _half_transparent(image: Image.Image) -> Image.Image:
    """Alpha that falls from opaque to nothing, colours untouched."""
    ramp = np.linspace(255, 0, image.width).astype(np.uint8)
    image.putalpha(Image.fromarray(np.tile(ramp, (image.height, 1))))
    return image
