"""SSD priors, packed into a binding and read back."""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import PriorAnchors
from phoneproof.core.errors import InvalidInput
from phoneproof.decode.results import Float

_ROW: Final = np.dtype("<f4").itemsize * 4
MOST_PRIORS: Final = 1_000_000
"""RetinaNet at 1333 x 800 has 190 000; more is a damaged number."""


def pack_priors(rows: NDArray[Any]) -> PriorAnchors:
    """Priors for a binding, from rows [A, 4] of cx, cy, w, h, rounded to float32.

    Raises:
        InvalidInput: another shape, none, too many, or a value that is not finite.
    """
    values = np.asarray(rows)
    if values.ndim != 2 or values.shape[1] != 4 or not 0 < len(values) <= MOST_PRIORS:
        raise InvalidInput(
            "priors must be rows of cx, cy, w, h",
            found=f"an array of shape {list(values.shape)}",
            next_step=f"give 1 to {MOST_PRIORS} rows of four numbers",
        )
    with np.errstate(over="ignore"):
        single = values.astype("<f4")
    if not np.isfinite(single).all():
        raise InvalidInput("priors must be finite", next_step="look for NaN or inf in their source")
    return PriorAnchors(count=len(single), data=base64.b64encode(single.tobytes()).decode())


@lru_cache(maxsize=8)
def prior_rows(anchors: PriorAnchors) -> Float:
    """float32 [count, 4] of cx, cy, w, h; not writable.

    Raises:
        InvalidInput: damaged base64, another number of bytes than `count` rows have, or a value
            that is not finite.
    """
    try:
        data = base64.b64decode(anchors.data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _damaged("text that is not base64") from error
    if not 0 < anchors.count <= MOST_PRIORS or len(data) != anchors.count * _ROW:
        raise _damaged(f"{len(data)} bytes for {anchors.count} rows of {_ROW}")
    rows = np.frombuffer(data, "<f4").reshape(-1, 4).astype(np.float32)
    if not np.isfinite(rows).all():
        raise _damaged("a NaN or an infinity")
    rows.setflags(write=False)
    return rows


def _damaged(found: str) -> InvalidInput:
    return InvalidInput(
        "the priors of the binding are damaged",
        found=found,
        next_step="use the binding as it was written with this file",
    )
