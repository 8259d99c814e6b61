"""What a scan of a float32 Core ML package says of its float16 file before that is written."""

from __future__ import annotations

from typing import Final

import msgspec

from phoneproof.core.optimization import LayerDamage

SCAN: Final = "float16_scan.json"


class Float16Scan(msgspec.Struct, frozen=True, kw_only=True):
    """Computed on a few images, layer by layer as the file will be (`HalfProgram`).

    images: how many. unheld: (value, largest magnitude) that float16 cannot hold; those who make
    or read them stay float32: of a hub they are named in `must`, of a Core ML package its optimizer
    finds them by the ranges. output, snr_db: the output that is worst off when nothing else stays
    float32, and its signal-to-noise ratio; null where none was asked for. layers: as few as bring
    it to the ratio that was asked for, with `reached_db`; none where it has that anyway. damage:
    of all layers, then.
    """

    images: int
    unheld: tuple[tuple[str, float], ...] = ()
    must: tuple[str, ...] = ()
    output: str = ""
    snr_db: float | None = None
    layers: tuple[str, ...] = ()
    reached_db: float | None = None
    damage: tuple[LayerDamage, ...] = ()
