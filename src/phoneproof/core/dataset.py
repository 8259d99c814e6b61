"""Labelled images as data: what every stage means by an image and a split."""

from __future__ import annotations

from pathlib import Path

import msgspec

from phoneproof.core.check import DatasetRef, Split
from phoneproof.core.json_format import content_hash


class LabelledBox(msgspec.Struct, frozen=True, kw_only=True):
    """A ground-truth box: label index of the contract, xyxy as fractions of the oriented image.

    `crowd`: a COCO crowd region, neither found nor missed.
    """

    label: int
    xyxy: tuple[float, float, float, float]
    crowd: bool = False


class ImageItem(msgspec.Struct, frozen=True, kw_only=True):
    """One image: its name inside the data set, its content hash, its labels where given.

    label: the contract's label index (classification). boxes: null where nothing was labelled,
    empty where the image was labelled as empty (detection).
    """

    name: str
    path: Path
    sha256: str
    label: int | None = None
    boxes: tuple[LabelledBox, ...] | None = None


class ImageSet(msgspec.Struct, frozen=True, kw_only=True):
    """Readable images of one split, sorted by content hash; `skipped`: (name, why) of the rest."""

    split: Split
    items: tuple[ImageItem, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def labelled(self) -> bool:
        """Whether every image carries a label or boxes."""
        return bool(self.items) and all(
            item.label is not None or item.boxes is not None for item in self.items
        )

    @property
    def ref(self) -> DatasetRef:
        """Hash over the content hashes, and the split's name."""
        return DatasetRef(hash=content_hash([i.sha256 for i in self.items]), split=self.split)
