"""images.json: from a stored picture to results, every step in one case."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from phoneproof.core.binding import Binding, Box, InputBinding, Quant
from phoneproof.core.contract import Contract, Decode, ImageInput, Nms, Size
from phoneproof.core.presets import IMAGENET_MEAN, IMAGENET_STD, preset_input
from phoneproof.pixels.preprocess import Preprocessor
from tests.vectors.decode.rows import probabilities
from tests.vectors.decode.setup import (
    Setup,
    Tensors,
    class_rows,
    decoded,
    detection_rows,
    output_tensor,
    part,
    values,
)
from tests.vectors.inputs import bound, gray_spec, letterbox, spec, stretch
from tests.vectors.pictures import Picture
from tests.vectors.pictures_read import read
from tests.vectors.types import Flag, ImageCase, digest

_LABELS: Final[tuple[str | None, ...]] = ("cat", "dog", "cow")
_POLICY: Final = Decode(confidence=0.9, nms=Nms(iou=0.5, max_detections=20))
_INT8: Final = Quant(scale=0.018658, zero_point=-14)
_ANCHORS: Final = 60
_EXIF_TURNED: Final = (3, 6, 8)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Chain:
    name: str
    comment: str
    flags: tuple[Flag, ...]
    image: ImageInput
    binding: InputBinding
    size: Size
    exif: int = 1
    channels: int = 3
    task_detect: bool = True


def cases() -> Iterator[ImageCase]:
    """Detectors, then classifiers. The outputs are formulas: a chain is checked, not a model."""
    for number, chain in enumerate((*_detectors(), *_classifiers())):
        yield _detect(chain, number + 1) if chain.task_detect else _classify(chain, number + 1)


def _detectors() -> Iterator[_Chain]:
    image = preset_input("ultralytics.detect", (64, 96))
    for exif in (1, *_EXIF_TURNED):
        yield _Chain(
            name=f"letterbox-exif-{exif}",
            comment="boxes are in pixels of the upright picture",
            flags=("exif", "odd_pad") if exif != 1 else ("odd_pad",),
            image=image,
            binding=bound(image, "NCHW"),
            size=(75, 101),
            exif=exif,
        )
    ignored = msgspec.structs.replace(image, orientation="ignore")
    yield _Chain(
        name="orientation-ignored",
        comment="the contract takes pictures as they are stored",
        flags=("exif",),
        image=ignored,
        binding=bound(ignored),
        size=(75, 101),
        exif=6,
    )
    backed = msgspec.structs.replace(image, alpha=(255, 200, 10))
    yield _Chain(
        name="alpha",
        comment="transparency in front of a background, then turned",
        flags=("transparent", "exif"),
        image=backed,
        binding=bound(backed),
        size=(130, 77),
        exif=5,
        channels=4,
    )
    yield from _other_inputs()


def _other_inputs() -> Iterator[_Chain]:
    bgr = preset_input("yolox", (96, 64))
    yield _Chain(
        name="bgr-top-left",
        comment="BGR, values of 0..255, the picture at the top left",
        flags=("bgr",),
        image=bgr,
        binding=bound(bgr, "NCHW"),
        size=(101, 75),
    )
    pixels = spec((64, 96), *letterbox((64, 96), filter="pillow.bilinear"))
    yield _Chain(
        name="pixels-uint8",
        comment="the file scales by itself",
        flags=("normalise_in_file", "odd_pad"),
        image=pixels,
        binding=bound(pixels, dtype="uint8", in_file=True),
        size=(40, 50),
        exif=2,
    )


def _classifiers() -> Iterator[_Chain]:
    torch = preset_input("torchvision.imagenet", (56, 56))
    keras = preset_input("keras.tf", (48, 48))
    gray = gray_spec((28, 28), stretch((28, 28)), gray="opencv", mean=0.1307, std=0.3081)
    area = spec((32, 32), stretch((32, 32), "opencv.area"), mean=IMAGENET_MEAN, std=IMAGENET_STD)
    listed: dict[str, tuple[ImageInput, InputBinding, tuple[Flag, ...]]] = {
        "torchvision-int8": (torch, bound(torch, dtype="int8", quant=_INT8), ("quantised", "crop")),
        "keras": (keras, bound(keras), ("float32_pixels",)),
        "gray": (gray, bound(gray, "NCHW"), ("gray",)),
        "area-float16": (area, bound(area, "NCHW", "float16"), ()),
    }
    for number, (name, (image, binding, flags)) in enumerate(listed.items()):
        yield _Chain(
            name=f"classify-{name}",
            comment="a classifier",
            flags=(*flags, "exif"),
            image=image,
            binding=binding,
            size=(83, 121),
            exif=number + 4,
            task_detect=False,
        )


def _detect(chain: _Chain, seed: int) -> ImageCase:
    contract = Contract(
        name="vectors", task="detect", inputs=(chain.image,), labels=_LABELS, decode=_POLICY
    )
    height, width = chain.image.size
    spread = np.array([width, height, 48, 40], np.float32)
    boxes = values(seed, (1, _ANCHORS, 4), 0, 1 / 256) * spread + np.float32(1)
    tensors: Tensors = {"boxes": boxes, "scores": probabilities(seed + 50, 1, _ANCHORS, 3)}
    outputs = (
        part(tensors, "boxes", "boxes", ("anchor", "coord"), box=Box(format="cxcywh")),
        part(tensors, "scores", "scores", ("anchor", "class")),
    )
    binding = Binding(
        contract=contract.sha256, format="tflite", inputs=(chain.binding,), outputs=outputs
    )
    return _case(chain, seed, contract, binding, tensors)


def _classify(chain: _Chain, seed: int) -> ImageCase:
    contract = Contract(name="vectors", task="classify", inputs=(chain.image,), labels=_LABELS)
    tensors: Tensors = {"scores": values(seed, (1, 3), -6, 1 / 16)}
    scores = part(tensors, "scores", "scores", ("class",), activation="softmax")
    binding = Binding(
        contract=contract.sha256, format="tflite", inputs=(chain.binding,), outputs=(scores,)
    )
    return _case(chain, seed, contract, binding, tensors)


def _case(
    chain: _Chain, seed: int, contract: Contract, binding: Binding, tensors: Tensors
) -> ImageCase:
    picture = Picture(
        kind="noise" if seed % 2 else "waves",
        seed=seed,
        height=chain.size[0],
        width=chain.size[1],
        channels=chain.channels,
    )
    rgb = read(picture, chain.image, chain.exif)
    prepared = Preprocessor(chain.image, chain.binding).prepare(rgb)
    setup = Setup(
        name=chain.name,
        comment=chain.comment,
        contract=contract,
        binding=binding,
        tensors=tensors,
        original=(rgb.shape[0], rgb.shape[1]),
    )
    results = decoded(setup)
    return ImageCase(
        id=f"image-{chain.name}",
        comment=chain.comment,
        flags=chain.flags,
        contract=contract,
        binding=binding,
        picture=picture,
        exif=chain.exif,
        tensor=digest(prepared.tensor),
        outputs=tuple(output_tensor(name, array) for name, array in tensors.items()),
        detections=detection_rows(results),
        classes=class_rows(results, contract),
    )
