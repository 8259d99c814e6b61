"""A cheap look at every image of a calibration pool, so that good ones can be picked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageItem
from phoneproof.core.errors import InvalidInput, PhoneproofError
from phoneproof.core.events import Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from phoneproof.optimize.calibrate import Feed
    from phoneproof.optimize.pick import Candidate
    from phoneproof.pixels.preprocess import Prepared
    from phoneproof.runtimes.base import Session

_READERS: Final = 2
"""Threads: decoding a picture lets go of the interpreter lock, and there are other workers."""


class Eye:
    """Reads pictures as one file's input takes them. One instance may serve many threads."""

    def __init__(self, contract: Contract, binding: Binding) -> None:
        from phoneproof.pixels.preprocess import Preprocessor

        single = msgspec.structs.replace(binding.image, shape=(1, *binding.image.shape[1:]))
        self._contract = contract
        self._binding = binding
        self._preprocessor = Preprocessor(contract.image, single)

    def candidates(self, items: tuple[ImageItem, ...], progress: Progress) -> list[Candidate]:
        """What a look at each picture tells, labels included where they were given.

        Raises:
            InvalidInput: a picture that cannot be used, named.
        """
        found: list[Candidate] = []
        with ThreadPoolExecutor(_READERS) as pool:
            for one in pool.map(self._candidate, items):
                found.append(one)
                progress(len(found), len(items))
        return found

    def saturations(self, items: tuple[ImageItem, ...]) -> list[float]:
        """Mean HSV saturation (0..1) of each picture."""
        from phoneproof.pixels.picture_facts import picture_facts

        return [float(picture_facts(self._read(item), self._contract.image)[2]) for item in items]

    def feeds(self, items: Iterable[ImageItem]) -> Iterator[Feed]:
        """The input of the model for each image, or each full batch of images.

        A short last batch is filled up with its last image.
        """
        import numpy as np

        from phoneproof.optimize.calibrate import Feed

        image = self._binding.image
        size = max(1, image.shape[0])
        waiting = iter(items)
        while group := list(islice(waiting, size)):
            tensors = [self._prepared(item).tensor for item in group]
            tensors += tensors[-1:] * (size - len(tensors))
            value = tensors[0] if size == 1 else np.concatenate(tensors)
            yield Feed(image=group[0].name, tensors={image.tensor: value})

    def _candidate(self, item: ImageItem) -> Candidate:
        from phoneproof.optimize.pick import Candidate
        from phoneproof.pixels.picture_facts import picture_facts

        rgb = self._read(item)
        facts = picture_facts(rgb, self._contract.image)
        tensor = self._preprocessor.prepare(rgb).tensor
        brightness, contrast, saturation = (float(value) for value in facts[:3])
        return Candidate(
            name=item.name,
            sha256=item.sha256,
            pixels=hashlib.sha256(tensor.tobytes()).hexdigest(),
            brightness=brightness,
            contrast=contrast,
            saturation=saturation,
            extremes=(contrast,),
            labels=_labels(item),
        )

    def _prepared(self, item: ImageItem) -> Prepared:
        return self._preprocessor.prepare(self._read(item))

    def _read(self, item: ImageItem) -> NDArray[np.uint8]:
        from phoneproof.pixels.image import read_image

        try:
            return read_image(item.path, self._contract.image)
        except PhoneproofError as error:
            raise InvalidInput(
                f"calibration image {item.name} cannot be used",
                found=f"{error.failed}: {error.found}" if error.found else error.failed,
                next_step=error.next_step or "restore or remove the image, then start again",
            ) from error


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the model itself says of an image. peak: its largest score, probability or value."""

    labels: frozenset[int]
    peak: float


def with_predictions(
    candidates: list[Candidate],
    items: tuple[ImageItem, ...],
    session: Session,
    contract: Contract,
    binding: Binding,
    progress: Progress,
) -> list[Candidate]:
    """The candidates with what the model sees in them.

    The images that a model is surest of are those on which its activations reach furthest. Where
    an image has no labels of its own, the predicted ones stand in for them.
    """
    from phoneproof.runtimes.predict import Predictor

    known = {one.sha256: one for one in candidates}
    found: list[Candidate] = []
    predictor = Predictor(session, contract, binding)
    for one in predictor.predict_items(items, progress=progress):
        seen = _judgement(one.app)
        before = known[one.sha256]
        found.append(
            replace(
                before,
                extremes=(seen.peak, *before.extremes),
                labels=before.labels or seen.labels,
            )
        )
    return found


def _judgement(results: object) -> Judgement:
    from phoneproof.decode.results import Classification, Detections, RawOutputs

    if isinstance(results, Classification):
        best = int(results.probabilities.argmax())
        return Judgement(labels=frozenset({best}), peak=float(results.probabilities[best]))
    if isinstance(results, Detections):
        labels = frozenset(int(label) for label in results.classes)
        return Judgement(labels=labels, peak=float(results.scores.max(initial=0.0)))
    assert isinstance(results, RawOutputs)
    peak = max((float(abs(value).max()) for _, value in results.tensors), default=0.0)
    return Judgement(labels=frozenset(), peak=peak)


def _labels(item: ImageItem) -> frozenset[int]:
    boxes = () if item.boxes is None else item.boxes
    labels = {box.label for box in boxes}
    return frozenset(labels if item.label is None else labels | {item.label})
