"""Final detections: what a file that suppresses by itself gives, as canonical rows."""

from __future__ import annotations

from typing import Final

import numpy as np

from phoneproof.core.contract import Contract
from phoneproof.core.errors import InvalidInput
from phoneproof.decode.results import Float, Index

MOST_CLASSES: Final = 32_768
"""ImageNet-21k has 21 841; a larger number is no class, and its row of scores no small array."""
_ODD: Final = 0.1
_LARGEST: Final = 2.0**31


def one_hot(scores: Float, classes: Float, offset: int, contract: Contract) -> Float:
    """Scores float32 [K, C], each in the column of its class; C is the number of labels.

    Without labels C is one more than the largest class. Rows of a negative class (padding) are
    zero. A score that is NaN stays NaN.

    Args:
        scores, classes: float32 [K]; classes as the file numbers them.
        offset: added to a class to get the label's index.

    Raises:
        InvalidInput: a class that is no whole number, or outside the labels.
    """
    labels = _label_indices(classes, offset)
    active = np.flatnonzero((labels >= 0) & (scores != 0))
    width = len(contract.labels) or min(int(labels.max(initial=0)) + 1, MOST_CLASSES)
    outside = labels[active] >= width
    if outside.any():
        raise InvalidInput(
            "a detection's class is outside the labels",
            found=f"label index {int(labels[active][outside][0])}, {width} labels",
            next_step="correct the labels or the class offset of the binding",
        )
    rows = np.zeros((len(scores), width), np.float32)
    rows[active, labels[active]] = scores[active]
    return rows


def _label_indices(classes: Float, offset: int) -> Index:
    """int64 [K]; negative for padding."""
    with np.errstate(invalid="ignore"):
        whole = np.rint(classes)
        # Quantised files give 3.9999 for 4; a class half way to the next is none.
        odd = ~((np.abs(classes - whole) < _ODD) & (np.abs(classes) < _LARGEST))
    if odd.any():
        raise InvalidInput(
            "a detection's class is not a whole number",
            found=f"{classes[odd][0]:g}",
            next_step="check which column of the output holds the class",
        )
    labels = whole.astype(np.int64)
    if (labels[labels >= 0] + offset < 0).any():
        raise InvalidInput(
            "the class offset of the binding makes a class negative",
            found=f"class {int(labels[labels >= 0].min())}, offset {offset}",
            next_step="correct the class offset",
        )
    return np.where(labels < 0, -1, labels + offset)


def counted(values: Float, rows: int) -> int:
    """How many of `rows` detections count.

    Raises:
        InvalidInput: not one whole number of 0 to `rows`.
    """
    flat = values.reshape(-1)
    if flat.size != 1 or not 0 <= flat[0] <= rows or flat[0] != np.rint(flat[0]):
        raise InvalidInput(
            "the number of detections makes no sense",
            found=f"{flat[:4].tolist()} for {rows} rows",
            next_step="check which output holds the count",
        )
    return int(flat[0])
