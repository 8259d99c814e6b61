"""Every limit of ``[checks]``, with its default by precision."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from phoneproof.core import tolerances
from phoneproof.core.binding import Format, Precision

FLOATS: Final[frozenset[Precision]] = frozenset({"float32", "float16"})
"""Precisions that are held to agreement, item by item, whether there are labels or not."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user accepts. Null: the check is shown and does not gate.

    Bounded (every image):
        max_abs: largest difference of a class probability, or of the score of a detection that
            the app shows, absolute.
        max_abs_hidden: the same for the score of every anchor, shown or not.
        max_abs_relative: largest difference of any other output, relative to the largest
            magnitude of the baseline's.
        snr_db: least signal-to-noise ratio of an output, decibels.
        class_map_agreement: least share of positions of an image's map of class numbers that are
            the same.
        top1_agreement, box_agreement: least share of items that agree (0..1).
        box_pixels: how far a corner of an agreeing box may lie, pixels of the original.
        box_match: what box_agreement counts: boxes of equal corners, or (integers, whose corners
            move by steps of a range) clear objects found again, see `clear_agreement`.
        hub_equivalence: the capture gate; difference relative to the largest magnitude.
    Margin (loss at most this, raw numbers: .01 is one point):
        top1_drop, map50_95_drop, small_recall_drop, score_shift, lost_share.
    size_ratio: largest artifact size relative to the baseline's.
    undecided: whether an undecided check may be accepted (see `verdicts.accepted`).
    contract_search: whether a significantly better contract refuses the build, is shown, or is
        not looked for.
    """

    max_abs: float | None = None
    max_abs_hidden: float | None = None
    max_abs_relative: float | None = None
    snr_db: float | None = None
    class_map_agreement: float | None = None
    top1_agreement: float | None = None
    box_agreement: float | None = None
    box_pixels: float = tolerances.FLOAT_BOX_PIXELS
    box_match: Literal["pixels", "objects"] = "pixels"
    hub_equivalence: float = tolerances.HUB_RELATIVE
    top1_drop: float | None = tolerances.TOP1_DROP
    map50_95_drop: float | None = tolerances.MAP_DROP
    small_recall_drop: float | None = tolerances.SMALL_RECALL_DROP
    score_shift: float | None = tolerances.SCORE_SHIFT
    lost_share: float | None = tolerances.LOST_SHARE
    size_ratio: float | None = None
    undecided: Literal["accept", "fail"] = "accept"
    contract_search: Literal["gate", "show", "off"] = "gate"

    @property
    def probability_tolerance(self) -> float:
        """What a probability may move without meaning anything; ties are judged by twice this."""
        return self.max_abs or 0.0


FLOAT32_LIMITS = Limits(
    max_abs=tolerances.FLOAT32_PROBABILITY,
    max_abs_hidden=tolerances.FLOAT32_PROBABILITY,
    max_abs_relative=tolerances.FLOAT32_RAW_RELATIVE,
    snr_db=tolerances.FLOAT32_SNR_DB,
    class_map_agreement=tolerances.FLOAT32_CLASS_MAP,
    top1_agreement=1.0,
    box_agreement=1.0,
)
FLOAT16_LIMITS = Limits(
    max_abs=tolerances.FLOAT16_PROBABILITY,
    snr_db=tolerances.FLOAT16_SNR_DB,
    class_map_agreement=tolerances.FLOAT16_CLASS_MAP,
    top1_agreement=1.0,
    box_agreement=1.0,
)
"""Nothing is asked of single anchors that no app shows: of yolov8n's 700 000 scores an image some
move by .04 in half precision (and boxes by 1 % of the image) while every detection shown stays
within .0062 and 1 pixel. See docs/decisions/0007-float16-heads.md."""

CORE_ML_FLOAT16_LIMITS = msgspec.structs.replace(
    FLOAT16_LIMITS, snr_db=tolerances.APPLE_FLOAT16_SNR_DB
)
"""Core ML computes float16 files in float16, and islands of float32 can be had in them."""

QUANTIZED_LIMITS = Limits(
    box_match="objects",
    score_shift=tolerances.INTEGER_SCORE_SHIFT,
    small_recall_drop=tolerances.INTEGER_SMALL_RECALL_DROP,
)
"""Integer arithmetic moves every output: only losses are judged, by margins. Where no loss can be
measured `stand_ins.held_to` takes over."""


DEQUANTISED_LIMITS = Limits(
    snr_db=tolerances.DEQUANTISED_SNR_DB,
    class_map_agreement=tolerances.DEQUANTISED_CLASS_MAP,
    top1_agreement=tolerances.DEQUANTISED_TOP1,
    box_agreement=tolerances.DEQUANTISED_BOXES,
    box_pixels=tolerances.DEQUANTISED_BOX_PIXELS,
    score_shift=None,
    lost_share=tolerances.DEQUANTISED_LOST,
)
"""The hub of a quantised source against the source itself: the float program may find more."""


def limits_for(precision: Precision, format_: Format | None = None) -> Limits:
    """The defaults of a precision, of a format where that has its own; a user's values replace
    them (`msgspec.structs.replace`).

    A build judges a file by the precision that was asked for. ``mixed`` is what a file says that
    nobody asked anything of: it may hold integers, so it is held to what integers are.
    """
    if precision == "float32":
        return FLOAT32_LIMITS
    if precision != "float16":
        return QUANTIZED_LIMITS
    return CORE_ML_FLOAT16_LIMITS if format_ == "coreml" else FLOAT16_LIMITS
