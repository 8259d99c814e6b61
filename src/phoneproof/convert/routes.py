"""The format graph: which links lead to a format, by named route.

A link is either a converter (`CONVERTERS` has its edge) or the one that goes back to the hub:
``onnx-hub`` is a capture of the ONNX file, made by the pipeline with the importers of capture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from phoneproof.core.binding import Format

Route = Literal["direct", "classic"]


class Link(msgspec.Struct, frozen=True):
    """One conversion. edge: as `CONVERTERS` keys it, ``hub-onnx``."""

    source: Format
    target: Format

    @property
    def edge(self) -> str:
        """The key of the converter that makes it."""
        return f"{self.source}-{self.target}"


_CLASSIC: Final = (
    Link("hub", "onnx"),
    Link("onnx", "hub"),
    Link("hub", "saved_model"),
    Link("saved_model", "tflite"),
)

ROUTES: Final[Mapping[Route, Mapping[Format, tuple[Link, ...]]]] = {
    "direct": {
        "onnx": (Link("hub", "onnx"),),
        "tflite": (Link("hub", "tflite"),),
        "coreml": (Link("hub", "coreml"),),
        "coreai": (Link("hub", "coreai"),),
    },
    "classic": {
        "onnx": _CLASSIC[:1],
        "saved_model": _CLASSIC[:3],
        "tflite": _CLASSIC,
    },
}
"""Route -> target format -> its links, in order; each starts at the captured hub program."""
