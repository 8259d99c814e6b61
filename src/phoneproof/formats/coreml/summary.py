"""What a Core ML model is, in one line, for messages."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

from phoneproof.core.errors import InvalidInput, MissingExtra
from phoneproof.formats.coreml.description import (
    ArrayFeature,
    Description,
    Feature,
    ImageFeature,
    description_of,
)
from phoneproof.formats.coreml.file import CoreMlFile, read_coreml

_MOST_KINDS: Final = 6


def summary(path: Path) -> str:
    """Kind, inputs, outputs and layers of a ``.mlmodel`` or ``.mlpackage``; what hinders reading.

    A message wants a line, not an error: a damaged file says so, and without the library that
    brings Core ML's messages only the format is known.
    """
    try:
        file = read_coreml(path)
        return "; ".join([file.kind, *_ends(description_of(file)), *_layers(file)])
    except MissingExtra:
        return ""
    except InvalidInput as error:
        return f"{error.failed}: {error.found}" if error.found else error.failed


def _ends(description: Description) -> tuple[str, str]:
    return (
        "takes " + ", ".join(map(_feature, description.inputs)),
        "gives " + ", ".join(map(_feature, description.outputs)),
    )


def _feature(feature: Feature) -> str:
    if isinstance(feature, ImageFeature):
        return f"{feature.name} ({feature.colour} image {feature.height}x{feature.width})"
    if isinstance(feature, ArrayFeature):
        return f"{feature.name} {list(feature.shape)} {feature.dtype}"
    return f"{feature.name} ({feature.kind})"


def _layers(file: CoreMlFile) -> tuple[str, ...]:
    """The commonest kinds of layers, where the model is a list of them."""
    layers = getattr(getattr(file.spec, file.kind), "layers", ())
    if not layers:
        return ()
    kinds = Counter(str(layer.WhichOneof("layer")) for layer in layers)
    common = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{count} {kind}" for kind, count in common[:_MOST_KINDS])
    more = f" and {len(common) - _MOST_KINDS} more kinds" if len(common) > _MOST_KINDS else ""
    return (f"{len(layers)} layers: {shown}{more}",)
