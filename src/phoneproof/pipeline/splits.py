"""What quantization calibrates, selects and confirms on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from phoneproof.core.capture import Hazard
from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import InvalidInput
from phoneproof.data.split import Fractions, Splits, split_by_hash, without

LEAST_TO_CONFIRM: Final = 1000
"""Fewer images are not divided into selection and confirmation. Where int8 changes one answer of
twenty-five, as many for the better as for the worse, the drop of top-1 on 300 images is known to
1.2 points, so that one build of five would be refused by chance; on 1000 to .6. Everything then is
measured on all images, and called selected on these images."""

LEAST_TO_DIVIDE: Final = 40
"""Fewer images calibrate and select alike: a quarter of them would calibrate nothing."""

MOST_TO_SELECT: Final = 512
"""Each try runs on the selection images; more of them cost minutes and change no choice."""

_WITHOUT_FOLDER: Final = Fractions(calibration=0.25, selection=0.3, confirmation=0.45)
_FEW: Final = Fractions(calibration=0.25, selection=0.75, confirmation=0.0)
_HALVES: Final = Fractions(calibration=0.0, selection=0.4, confirmation=0.6)


def divided(images: ImageSet, calibration: Path | None) -> tuple[ImageSet, Splits]:
    """The evaluation images (less those that calibrate), and the splits.

    Args:
        calibration: a folder of pictures of its own, or null.

    Raises:
        InvalidInput: no such folder, no picture in it, or no image is left to evaluate on.
    """
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
    return left, _capped(_with_own(left, own))


def split_hazards(splits: Splits | None) -> tuple[Hazard, ...]:
    """What to know of figures that were selected on the images they are shown for."""
    if splits is None or splits.confirmation.items:
        return ()
    calibrates = " and calibrated" if splits.calibration is splits.selection else ""
    return (
        Hazard(
            name="selected on these images",
            found=f"{len(splits.selection.items)} images: the int8 files are chosen{calibrates} "
            "on the images that their figures are shown for, which flatters them a little",
            next_step=f"give {LEAST_TO_CONFIRM} evaluation images or more, and [data] calibration",
            severity="note",
        ),
    )


def _from_evaluation(images: ImageSet) -> Splits:
    if len(images.items) < LEAST_TO_DIVIDE:
        nothing = ImageSet(split="confirmation", items=())
        return Splits(calibration=images, selection=images, confirmation=nothing)
    few = len(images.items) < LEAST_TO_CONFIRM
    return _capped(split_by_hash(images.items, _FEW if few else _WITHOUT_FOLDER))


def _with_own(left: ImageSet, own: ImageSet) -> Splits:
    if len(left.items) < LEAST_TO_CONFIRM:
        selection = ImageSet(split="selection", items=left.items)
        confirmation = ImageSet(split="confirmation", items=())
    else:
        halves = split_by_hash(left.items, _HALVES)
        selection, confirmation = halves.selection, halves.confirmation
    return Splits(calibration=own, selection=selection, confirmation=confirmation)


def _capped(splits: Splits) -> Splits:
    selection = splits.selection
    fewer = ImageSet(split="selection", items=selection.items[:MOST_TO_SELECT])
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
