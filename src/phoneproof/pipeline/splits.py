"""What quantization calibrates, selects and confirms on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from phoneproof.core.capture import Hazard
from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.core.errors import InvalidInput
from phoneproof.data.split import Fractions, Splits, split_by_hash, without

LEAST_TO_CONFIRM: Final = 1000
"""A smaller confirmation split refuses by chance. Where int8 changes one answer of twenty-five, as
many for the better as for the worse, the drop of top-1 on 300 images is known to 1.2 points, on
1000 to .6. Without that many, everything but the calibration images selects and shows."""

LEAST_TO_DIVIDE: Final = 40
"""Fewer images calibrate and select alike: a quarter of them would calibrate nothing."""

MOST_TO_SELECT: Final = 512
"""Each try runs on the selection images; more of them cost minutes and change no choice."""

_ENOUGH: Final = 1700
"""Of which 60 % confirm."""

_WITHOUT_FOLDER: Final = Fractions(calibration=0.2, selection=0.2, confirmation=0.6)
_WITH_FOLDER: Final = Fractions(calibration=0.0, selection=0.3, confirmation=0.7)
_CALIBRATES: Final = Fractions(calibration=0.25, selection=0.75, confirmation=0.0)


def divided(
    images: ImageSet, calibration: Path | None, *, calibrates: bool = True
) -> tuple[ImageSet, Splits]:
    """The evaluation images (less those that calibrate), and the splits.

    Args:
        calibration: a folder of pictures of its own, or null.
        calibrates: whether ranges are needed at all; else no image is spent on them.

    Raises:
        InvalidInput: no such folder, no picture in it, or no image is left to evaluate on.
    """
    if not calibrates:
        nothing = ImageSet(split="calibration", items=())
        return images, _judging(images, nothing)
    if calibration is None:
        return images, _from_evaluation(images)
    own = _load(calibration)
    left = without(images, own)
    if not left.items:
        raise InvalidInput(
            "every evaluation image is also a calibration image",
            found=f"{len(images.items)} of {len(images.items)} in {calibration.name}",
            next_step="calibrate on other images than those that are evaluated on",
        )
    return left, _judging(left, own)


def split_hazards(splits: Splits | None) -> tuple[Hazard, ...]:
    """What to know of figures that were selected on the images they are shown for."""
    if splits is None or splits.confirmed_apart:
        return ()
    calibrates = " and calibrated" if splits.calibration_judges else ""
    return (
        Hazard(
            name="selected on these images",
            found=f"{len(splits.confirmation.items)} images: optimised files are "
            f"chosen{calibrates} on the images that their figures are shown for, which flatters "
            "them a little",
            next_step=f"about {_ENOUGH} evaluation images are confirmed on images of their own",
            severity="note",
        ),
    )


def _from_evaluation(images: ImageSet) -> Splits:
    count = len(images.items)
    if count < LEAST_TO_DIVIDE:
        return Splits(calibration=images, selection=images, confirmation=images)
    parts = split_by_hash(images.items, _WITHOUT_FOLDER)
    if len(parts.confirmation.items) < LEAST_TO_CONFIRM:
        parts = split_by_hash(images.items, _CALIBRATES)
        return _same(parts.selection.items, parts.calibration)
    return _capped(parts)


def _judging(images: ImageSet, calibration: ImageSet) -> Splits:
    """All images judge, and another set calibrates."""
    parts = split_by_hash(images.items, _WITH_FOLDER)
    if len(parts.confirmation.items) < LEAST_TO_CONFIRM:
        return _same(images.items, calibration)
    return _capped(
        Splits(calibration=calibration, selection=parts.selection, confirmation=parts.confirmation)
    )


def _same(items: tuple[ImageItem, ...], calibration: ImageSet) -> Splits:
    """What selects also shows; where it is much, a part selects and all of it shows."""
    shown = ImageSet(split="selection", items=items)
    selecting = ImageSet(split="selection", items=items[:MOST_TO_SELECT])
    return Splits(calibration=calibration, selection=selecting, confirmation=shown)


def _capped(splits: Splits) -> Splits:
    fewer = ImageSet(split="selection", items=splits.selection.items[:MOST_TO_SELECT])
    return Splits(calibration=splits.calibration, selection=fewer, confirmation=splits.confirmation)


def _load(folder: Path) -> ImageSet:
    from phoneproof.data.load import load_images

    try:
        return load_images(
            folder,
            contract_labels=(),
            task="raw",
            class_index=lambda index: index,
            split="calibration",
        )
    except InvalidInput as error:
        raise InvalidInput(
            f"[data] calibration: {error.failed}",
            found=error.found,
            next_step="name a folder with about a hundred pictures like those the app will see",
        ) from error
