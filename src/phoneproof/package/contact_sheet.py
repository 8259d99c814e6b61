"""The contact sheet: production pictures with what the model says of them, surprises first."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from phoneproof.core.contract import Contract
from phoneproof.core.preflight import PictureReport
from phoneproof.decode.results import Results
from phoneproof.package.drawing import draw_predictions

MAX_TILES = 48
ORDINARY_TILES = 12
"""Places kept for pictures without a surprise, to see what the surprising ones differ from."""

TILE_SIDE = 300
"""Pixels: shown at about half of it, so that fine displays have something to show."""

TILE_BYTES = 64_000
"""48 of these stay below 5 MB in base64, whatever the pictures are."""

_QUALITIES = (75, 60, 45, 30, 15)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """A drawn picture: JPEG bytes and their size in pixels."""

    image: str
    sha256: str
    jpeg: bytes
    width: int
    height: int

    @property
    def uri(self) -> Markup:
        """For a page that requests nothing."""
        return Markup("data:image/jpeg;base64,") + base64.b64encode(self.jpeg).decode()


def chosen_pictures(pictures: Sequence[PictureReport]) -> tuple[PictureReport, ...]:
    """At most MAX_TILES of them: the most surprising first, then others in the order of hashes.

    A hash knows nothing of names or dates, so its order is a sample that is the same every time.
    """
    surprising = surprising_first(pictures)
    ordinary = sorted((p for p in pictures if not p.surprises), key=lambda p: p.sha256)
    kept = ordinary[: max(ORDINARY_TILES, MAX_TILES - len(surprising))]
    return (*surprising[: MAX_TILES - len(kept)], *kept)


def surprising_first(pictures: Sequence[PictureReport]) -> tuple[PictureReport, ...]:
    """Those with a surprise: nothing found first, then the most surprises, then by hash."""
    found = [picture for picture in pictures if picture.surprises]
    return tuple(sorted(found, key=_rank))


def _rank(picture: PictureReport) -> tuple[bool, int, str]:
    nothing = any(surprise.feature == "nothing_found" for surprise in picture.surprises)
    return not nothing, -len(picture.surprises), picture.sha256


def draw_tile(
    picture: PictureReport, rgb: NDArray[np.uint8], results: Results, contract: Contract
) -> Tile:
    """One picture with its predictions, as a JPEG of at most TILE_BYTES where that can be done.

    Args:
        rgb: uint8 [H, W, 3], oriented; boxes are in its pixels.
    """
    drawn = draw_predictions(rgb, results, contract, max_side=TILE_SIDE)
    data = b""
    for quality in _QUALITIES:
        stream = io.BytesIO()
        drawn.save(stream, "JPEG", quality=quality, optimize=True)
        data = stream.getvalue()
        if len(data) <= TILE_BYTES:
            break
    return Tile(
        image=picture.image,
        sha256=picture.sha256,
        jpeg=data,
        width=drawn.width,
        height=drawn.height,
    )
