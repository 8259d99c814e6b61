"""Whether other images would have given the same ranges: two disjoint halves compared."""

from __future__ import annotations

from typing import Final

import numpy as np

from phoneproof.core.capture import Hazard
from phoneproof.core.optimization import Stability
from phoneproof.core.recipe import RangeMethod
from phoneproof.optimize.calibrate import Calibration
from phoneproof.optimize.range_methods import Interval, range_by

COMPARED: Final[RangeMethod] = "percentile_99_99"
"""The ends of the bulk settle as images are added: on a detector the halves of 8, 16, 32 and 64
photographs were 5.9, 4.4, 2.5 and 1.8 % apart (median). The very smallest and largest values hang
on single images and hardly settle: 9.2, 7.0, 5.9 and 3.6 %."""

LIMIT: Final = 0.05
"""A range 5 % wider has 10 % more rounding noise (it grows with the square of the step): beyond
that, which images were taken matters as much as how ranges are made from them."""

_ENOUGH: Final = 100


def stability(calibration: Calibration) -> Stability | None:
    """How far the ranges of the two halves differ; null where one half is empty.

    Tensors that are 0 on all images do not count.
    """
    if calibration.images < 2:
        return None
    spreads: dict[str, float] = {}
    for name, halves in calibration.halves.items():
        first, second = (range_by(COMPARED, half) for half in halves)
        if (spread := difference(first, second)) is not None:
            spreads[name] = spread
    if not spreads:
        return None
    worst = max(spreads, key=spreads.__getitem__)
    middle = float(np.median(list(spreads.values())))
    return Stability(
        spread=middle,
        worst_tensor=worst,
        worst=spreads[worst],
        limit=LIMIT,
        enough=middle <= LIMIT,
    )


def difference(first: Interval, second: Interval) -> float | None:
    """How far two ranges that contain 0 differ: 0 equal, 1 disjoint; null for two empty ones."""
    width = max(first[1], second[1]) - min(first[0], second[0])
    if width == 0:
        return None
    return (abs(first[0] - second[0]) + abs(first[1] - second[1])) / width


def too_small(found: Stability | None, images: int) -> Hazard | None:
    """What to tell where the halves differ too much; null where they agree."""
    if found is None or found.enough:
        return None
    more = "different pictures from the app's own camera and scenes"
    return Hazard(
        name="calibration set too small",
        found=f"your calibration set is too small: the ranges of two halves of its {images} images "
        f"differ by {found.spread:.1%} (median over the tensors, limit {found.limit:.0%}), those "
        f"of {found.worst_tensor} by {found.worst:.0%}",
        next_step=f"name {max(_ENOUGH, 2 * images)} or more {more} under calibration in [data]; "
        "labels are not needed",
    )
