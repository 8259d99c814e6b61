"""Dividing images once, by content: an image's part never depends on the other images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from phoneproof.core.check import Split
from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.core.errors import ConfigError

_SALT = b"phoneproof.split/1\0"
_RANGE = 2**64


@dataclass(frozen=True, kw_only=True, slots=True)
class Fractions:
    """Expected shares of the images; they add up to 1."""

    calibration: float
    selection: float
    confirmation: float

    def __post_init__(self) -> None:
        shares = (self.calibration, self.selection, self.confirmation)
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
            raise ConfigError(
                "the split fractions must be at least 0 and add up to 1",
                found=", ".join(map(str, shares)),
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Splits:
    """Disjoint by content, where there are images enough. calibration: for quantization ranges.
    selection: what repair ladders look at. confirmation: looked at once; the headline.
    """

    calibration: ImageSet
    selection: ImageSet
    confirmation: ImageSet

    @property
    def calibration_judges(self) -> bool:
        """Whether the images that calibrate (and teach) are those that files are chosen on."""
        return self.calibration is self.selection

    @property
    def confirmed_apart(self) -> bool:
        """Whether the headline is of images that nothing was chosen on."""
        return self.confirmation.split == "confirmation"

    @property
    def judged_again(self) -> bool:
        """Whether the headline is of other images than the choice, or of more: where a part of
        many selects and all of them show, this holds and `confirmed_apart` does not.
        """
        return self.confirmation.ref != self.selection.ref


def split_by_hash(items: tuple[ImageItem, ...], fractions: Fractions) -> Splits:
    """Divide images by a hash of their content.

    Adding or removing images moves no other image, so a confirmation image never becomes one
    that was selected on. Shares are expected values: a small set may leave a part empty.
    """
    parts: dict[Split, list[ImageItem]] = {"calibration": [], "selection": [], "confirmation": []}
    for item in sorted(items, key=lambda item: item.sha256):
        parts[_part(item.sha256, fractions)].append(item)
    return Splits(
        calibration=ImageSet(split="calibration", items=tuple(parts["calibration"])),
        selection=ImageSet(split="selection", items=tuple(parts["selection"])),
        confirmation=ImageSet(split="confirmation", items=tuple(parts["confirmation"])),
    )


def without(images: ImageSet, others: ImageSet) -> ImageSet:
    """`images` less those whose bytes are also in `others`; they are listed as skipped."""
    taken = {item.sha256: item.name for item in others.items}
    shared = tuple(
        (item.name, f"also in the {others.split} images as {taken[item.sha256]}")
        for item in images.items
        if item.sha256 in taken
    )
    left = tuple(item for item in images.items if item.sha256 not in taken)
    return ImageSet(split=images.split, items=left, skipped=images.skipped + shared)


def _part(sha256: str, fractions: Fractions) -> Split:
    # Hashed again: sets are ordered by the content hash itself, and taking "the first n images"
    # must not favour one part.
    digest = hashlib.sha256(_SALT + bytes.fromhex(sha256)).digest()
    position = int.from_bytes(digest[:8]) / _RANGE
    if position < fractions.calibration:
        return "calibration"
    if position < fractions.calibration + fractions.selection:
        return "selection"
    return "confirmation"
