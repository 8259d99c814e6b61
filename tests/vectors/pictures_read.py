"""Pictures by formula, read as a file is: orientation and transparency."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from phoneproof.core.contract import ImageInput
from phoneproof.pixels.image import read_image
from tests.vectors.pictures import Picture, pixels

UPRIGHT: Final = 1


def read(picture: Picture, image: ImageInput, exif: int = UPRIGHT) -> NDArray[np.uint8]:
    """RGB uint8 [H, W, 3] of a PNG of the formula's bytes, as the reference reads it."""
    stored = Image.fromarray(pixels(picture))
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = exif
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        stored.save(path, exif=tags)
        return read_image(path, image)
