"""inverse.json: boxes from tensor pixels to pixels of the original."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from phoneproof.core.contract import Crop, ImageInput, Pad, Resize, Size
from phoneproof.core.presets import preset_input
from phoneproof.decode.results import Float
from phoneproof.pixels.geometry import plan_geometry
from phoneproof.pixels.inverse import to_original
from tests.vectors.inputs import spec, stretch
from tests.vectors.pictures import noise
from tests.vectors.types import BoxValues, InverseCase

_COUNT: Final = 6
_SIZES: Final[tuple[Size, ...]] = ((1080, 1920), (427, 640), (31, 97), (1, 5))


def cases() -> Iterator[InverseCase]:
    """Boxes inside, across the edges, outside and empty, by geometries of every kind."""
    inputs: dict[str, ImageInput] = {
        "letterbox": preset_input("ultralytics.detect", (640, 640)),
        "letterbox-wide": preset_input("ultralytics.detect", (352, 640)),
        "top-left": preset_input("yolox", (416, 416)),
        "cover-crop": preset_input("torchvision.imagenet", (224, 224)),
        "crop-stretch": preset_input("slim.inception", (224, 224)),
        "stretch": spec((300, 301), stretch((300, 301))),
        "chain": spec(
            (61, 63),
            Crop(fraction=0.9),
            Resize(to="cover", size=(60, 60), round="floor"),
            Crop(size=(58, 60)),
            Pad(size=(61, 63)),
        ),
        "no-upscale": spec(
            (640, 640), Resize(to="contain", size=(640, 640), upscale=False), Pad(size=(640, 640))
        ),
    }
    for number, (name, image) in enumerate(inputs.items()):
        for size in _SIZES:
            yield _case(name, image, size, seed=number + 1)


def _boxes(size: Size, seed: int) -> Float:
    """float32 [N, 4]: the whole tensor, beyond it, an empty one, and some by the noise formula."""
    height, width = size
    fixed = [[0, 0, width, height], [-50, -60.5, width + 70, height + 80.25], [9, 8, 9, 8]]
    random = noise(seed, _COUNT * 4).astype(np.float32).reshape(_COUNT, 4) / np.float32(256)
    # A quarter more than the tensor on each side.
    spread = (random * np.float32(1.5) - np.float32(0.25)) * np.float32(max(size))
    return np.concatenate([np.array(fixed, np.float32), spread])


def _case(name: str, image: ImageInput, size: Size, seed: int) -> InverseCase:
    boxes = _boxes(image.size, seed)
    plan = plan_geometry(image, *size)
    return InverseCase(
        id=f"inverse-{name}-{size[0]}x{size[1]}",
        comment="xyxy in tensor pixels to xyxy in pixels of the original, clipped",
        flags=("one_pixel",) if 1 in size else (),
        input=image,
        height=size[0],
        width=size[1],
        boxes=rows(boxes),
        expected=rows(to_original(boxes, plan)),
    )


def rows(boxes: Float) -> tuple[BoxValues, ...]:
    """Float32 boxes [N, 4] as they are written."""
    return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in boxes)
