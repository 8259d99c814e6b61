"""What goes into a Core ML model and comes out of it, as an app sees it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from phoneproof.formats.coreml.file import CoreMlFile
from phoneproof.formats.coreml.messages import Message

ColourSpace = Literal["RGB", "BGR", "GRAYSCALE", "GRAYSCALE_FLOAT16"]
_COLOURS: Final[dict[int, ColourSpace]] = {
    10: "GRAYSCALE",
    20: "RGB",
    30: "BGR",
    40: "GRAYSCALE_FLOAT16",
}
"""ImageFeatureType.ColorSpace (``mlmodel/format/FeatureTypes.proto``)."""

ArrayDType = Literal["float32", "float64", "float16", "int32", "int8"]
_ARRAYS: Final[dict[int, ArrayDType]] = {
    65568: "float32",
    65600: "float64",
    65552: "float16",
    131104: "int32",
    131080: "int8",
}
"""ArrayFeatureType.ArrayDataType: 0x10000 for floats, 0x20000 for integers, plus the bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFeature:
    """An image: the app gives a pixel buffer, the program gets [1, C, height, width] of 0..255
    in the channel order of `colour`."""

    name: str
    height: int
    width: int
    colour: ColourSpace

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """As the program sees it."""
        return (1, 3 if self.colour in ("RGB", "BGR") else 1, self.height, self.width)


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayFeature:
    """A multi-array; `shape` is () where the file leaves it open."""

    name: str
    shape: tuple[int, ...]
    dtype: ArrayDType


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherFeature:
    """A label, a dictionary of probabilities, a sequence."""

    name: str
    kind: str


Feature = ImageFeature | ArrayFeature | OtherFeature


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """Inputs and outputs in the file's order; `version` is the specification's: 6 for iOS 15,
    7 for 16, 8 for 17, 9 for 18, 10 for 26."""

    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    version: int


def description_of(file: CoreMlFile) -> Description:
    """Read the description; sizes are those of the default where the file allows several."""
    described = file.spec.description
    for function in described.functions:  # models of several functions describe each on its own
        if function.name == described.defaultFunctionName:
            described = function
    return Description(
        inputs=_features(described.input),
        outputs=_features(described.output),
        version=int(file.spec.specificationVersion),
    )


def _features(messages: Iterable[Message]) -> tuple[Feature, ...]:
    return tuple(_feature(str(message.name), message.type) for message in messages)


def _feature(name: str, message: Message) -> Feature:
    kind = str(message.WhichOneof("Type"))
    if kind == "imageType" and message.imageType.colorSpace in _COLOURS:
        image = message.imageType
        return ImageFeature(
            name=name,
            height=int(image.height),
            width=int(image.width),
            colour=_COLOURS[image.colorSpace],
        )
    if kind == "multiArrayType" and message.multiArrayType.dataType in _ARRAYS:
        array = message.multiArrayType
        return ArrayFeature(
            name=name,
            shape=tuple(int(side) for side in array.shape),
            dtype=_ARRAYS[array.dataType],
        )
    return OtherFeature(name=name, kind=kind.removesuffix("Type"))
