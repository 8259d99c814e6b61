"""What `init` and `inspect` find out about a folder of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from phoneproof.capture.guess_input import SMALL_SIDE
from phoneproof.core.capture import Hazard
from phoneproof.core.contract import Size, Task
from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import ConfigError
from phoneproof.core.events import Progress, silent


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFacts:
    """A data set in numbers.

    layout, reason: how it was recognised. class_names: in the data set's own order. suggests:
    the task its labels are for, null where it has none. images: usable ones, each content once;
    skipped: the rest. calibration: how many of them would calibrate int8 files.
    """

    layout: str
    reason: str
    class_names: tuple[str, ...]
    suggests: Task | None
    images: int
    skipped: int
    labelled: bool
    calibration: int
    hazards: tuple[Hazard, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundLabels:
    """A recognised layout, before the contract is known. See `DataFacts`."""

    layout: str
    reason: str
    class_names: tuple[str, ...]
    suggests: Task | None


def find_labels(images: Path, labels: Path | None, task: Task | None) -> FoundLabels:
    """Recognise a data set before anything is known of the contract.

    Args:
        task: of the model, where its file says; null tries boxes first, then classes.

    Raises:
        InvalidInput: no such folder or labels file. ConfigError: labels of a wrong kind.
    """
    from phoneproof.data.files import list_images
    from phoneproof.data.layout import detect_layout

    files = list_images(images)
    tries: tuple[Task, ...] = ("detect", "classify") if task is None else (task,)
    refused: ConfigError | None = None
    reason = ""
    for kind in tries:
        try:
            layout = detect_layout(images, files, labels=labels, task=kind)
        except ConfigError as error:
            refused = error
            continue
        if layout.kind != "plain":
            return FoundLabels(
                layout=layout.kind,
                reason=layout.reason,
                class_names=layout.class_names,
                suggests=kind,
            )
        reason = layout.reason
    if refused is not None:
        raise refused
    return FoundLabels(layout="plain", reason=reason, class_names=(), suggests=None)


def small_pictures_size(images: Path) -> Size | None:
    """[height, width] that all pictures share, where it is small (CIFAR, MNIST); else null.

    Reads headers, and stops at the first picture that differs. Unreadable ones do not count.
    """
    from PIL import Image, UnidentifiedImageError

    from phoneproof.data.files import list_images

    shared: Size | None = None
    for file in list_images(images):
        try:
            with Image.open(file.path) as picture:
                size = (picture.height, picture.width)
        except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError):
            continue
        if max(size) > SMALL_SIDE or shared not in (None, size):
            return None
        shared = size
    return shared


def data_facts(found: FoundLabels, images: ImageSet, progress: Progress = silent) -> DataFacts:
    """The facts of a loaded set, including the hazards of its pictures."""
    from phoneproof.pipeline.image_hazards import image_hazards
    from phoneproof.pipeline.splits import divided

    _, splits = divided(images, None)
    return DataFacts(
        layout=found.layout,
        reason=found.reason,
        class_names=found.class_names,
        suggests=found.suggests,
        images=len(images.items),
        skipped=len(images.skipped),
        labelled=images.labelled,
        calibration=len(splits.calibration.items),
        hazards=image_hazards(images, progress),
    )
