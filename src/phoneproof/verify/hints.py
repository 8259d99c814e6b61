"""What to do about a loss, by what was done to the file: only some files have ranges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from phoneproof.core.binding import Precision
from phoneproof.core.check import Check, CheckName

CALIBRATED: Final[frozenset[Precision]] = frozenset({"static_wi8_ai8", "static_wi8_ai16"})
"""Precisions with ranges, whose losses more typical images can mend (`evidence.HINTS`)."""

LOSSES: Final[frozenset[CheckName]] = frozenset(
    {"top1_drop", "map50_95_drop", "small_recall_drop", "score_shift"}
)

CUT: Final = "too much was set to zero or cut away: leave more, or train what is left"
ROUNDED: Final = "weights are too coarse: keep the most harmful layers wide, or ask for more bits"
MOVED: Final = "the outputs moved, and nothing was rounded to integers: see max_abs and snr_db"

_OF: Final[dict[Precision, str]] = {
    "sparse": CUT,
    "mixed": CUT,
    "float32": MOVED,
    "float16": MOVED,
}
"""``mixed`` is what pruned files are held to: nobody asks for it."""


def with_fitting_hints(checks: Iterable[Check], precision: Precision) -> tuple[Check, ...]:
    """The checks of a file with hints that fit it.

    Args:
        precision: what it is judged as.
    """
    hint = _OF.get(precision, ROUNDED)
    return tuple(
        msgspec.structs.replace(check, hint=hint)
        if check.hint and check.name in LOSSES and precision not in CALIBRATED
        else check
        for check in checks
    )
