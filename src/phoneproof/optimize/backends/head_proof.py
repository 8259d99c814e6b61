"""Whether another description of a head gives the same boxes and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.decode.heads import Heads, canonical_heads
from phoneproof.decode.results import Float
from phoneproof.decode.values import Outputs

BOX_PIXELS: Final = 1e-3
"""Coordinates of a thousand pixels have steps of 6e-5 in float32, and a decode has ten of them."""
BOX_RELATIVE: Final = 1e-6
"""Of coordinates far outside the picture: eight steps of float32."""
SCORE_RELATIVE: Final = 1e-4
_SCORE_ABSOLUTE: Final = 1e-7


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The largest difference of a box coordinate, in pixels, and of a score."""

    box_pixels: float
    score: float
    accepted: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """One set of values: the tensors of the split head, and what the head gives for them.

    expected: one entry an image of the batch.
    """

    tensors: Outputs
    expected: tuple[Heads, ...]


def difference(found: Heads, expected: Heads) -> Difference:
    """Compare row by row. Anything that is not finite is not equal to anything."""
    if found.boxes.shape != expected.boxes.shape or found.scores.shape != expected.scores.shape:
        return Difference(box_pixels=float("inf"), score=float("inf"), accepted=False)
    boxes, scores = _apart(found.boxes, expected.boxes), _apart(found.scores, expected.scores)
    accepted = bool(
        (boxes <= BOX_PIXELS + BOX_RELATIVE * np.abs(expected.boxes)).all()
        and (scores <= _SCORE_ABSOLUTE + SCORE_RELATIVE * np.abs(expected.scores)).all()
    )
    return Difference(
        box_pixels=float(boxes.max(initial=0)),
        score=float(scores.max(initial=0)),
        accepted=accepted,
    )


def proved(binding: Binding, contract: Contract, probes: tuple[Probe, ...]) -> Difference | None:
    """The largest difference over all probes; None where one is refused or cannot be decoded.

    A difference that is accepted for every probe proves nothing that the probes do not show: they
    have to move every value of every layer.
    """
    worst = Difference(box_pixels=0.0, score=0.0, accepted=True)
    for probe in probes:
        for index, expected in enumerate(probe.expected):
            try:
                found = canonical_heads(probe.tensors, contract, binding, index=index)
            except (InvalidInput, Unsupported):
                return None
            here = difference(found, expected)
            if not here.accepted:
                return None
            worst = Difference(
                box_pixels=max(worst.box_pixels, here.box_pixels),
                score=max(worst.score, here.score),
                accepted=True,
            )
    return worst


def _apart(found: Float, expected: Float) -> Float:
    with np.errstate(invalid="ignore"):
        apart: Float = np.abs(found - expected)
    return np.where(np.isfinite(apart), apart, np.float32(np.inf))
