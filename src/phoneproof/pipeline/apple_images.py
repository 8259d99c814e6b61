"""How many images a Core AI file is run on: Apple's Linux runtime takes seconds an image."""

from __future__ import annotations

from typing import Final

import msgspec

from phoneproof.core.binding import Format
from phoneproof.core.contract import Size
from phoneproof.core.dataset import ImageSet

FEWEST: Final = 8
"""yolov8n at 640 x 640 takes 3.3 s an image: half a minute."""
_PIXELS: Final = FEWEST * 640 * 640
"""Of smaller pictures as many as hold as many pixels."""


def run_on(format_: Format, images: ImageSet, size: Size) -> ImageSet:
    """The images that a file is judged on: all, but of Core AI the first by content hash."""
    if format_ != "coreai":
        return images
    count = max(FEWEST, _PIXELS // (size[0] * size[1]))
    if len(images.items) <= count:
        return images
    return msgspec.structs.replace(images, items=images.items[:count])
