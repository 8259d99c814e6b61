"""Running the source on a few images under many contracts: how well each explains the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract, ImageInput
from phoneproof.core.dataset import ImageItem
from phoneproof.decode.decode import decode, decode_heads, metric_policy
from phoneproof.decode.heads import canonical_heads
from phoneproof.decode.results import Classification, Detections, Float
from phoneproof.pixels.image import read_image
from phoneproof.pixels.inverse import to_original
from phoneproof.pixels.preprocess import Prepared, Preprocessor
from phoneproof.runtimes.base import Session
from phoneproof.verify.coco_matching import Truth
from phoneproof.verify.detection_metrics import truth_of
from phoneproof.verify.matching import iou
from phoneproof.verify.search.label_orders import LabelOrder

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

KEPT_PIXELS_BYTES: Final = 512 << 20
"""Decoded pictures kept in memory; those beyond it are decoded again each time."""

PREPARED_AT_ONCE: Final = 16
"""Input tensors that wait for the model: 80 MB at 640 x 640."""

PREPARING_THREADS: Final = 2

LEAST_SCORE: Final = 1e-3
"""A score below this counts as this much: one image that a model is surely wrong about must not
outweigh all others. It is also where the decode of mAP begins to look."""

SAME_OBJECT: Final = 0.5
"""IoU from which a detection is of the labelled object, as in mAP50."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One alternative: an image input, and where the classes lie (position in the orders)."""

    image: ImageInput
    order: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """What one candidate says of some images.

    likelihood: float64 [n], log-likelihood of each image's labels, nats. right: bool [n], whether
    the most probable class is the labelled one (classification). truths, detections: one an image
    (detection), in pixels of the oriented original, under the candidate's order of the classes.
    """

    likelihood: Float64
    right: Bool | None = None
    truths: tuple[Truth, ...] = ()
    detections: tuple[Detections, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """One image under one image input.

    likelihood, right: [orders] (classification). detections: by the label indices that are null,
    which are not looked at (detection). size: [height, width] of the oriented original.
    """

    likelihood: Float64
    right: Bool
    size: tuple[int, int] = (0, 0)
    detections: Mapping[frozenset[int], Detections] = field(default_factory=dict)


class Observer:
    """Runs one session; every image under every image input once. Not thread-safe.

    Args:
        session: the source's own runtime, batch 1.
        contract: the given contract. binding: fitted to the session.
        items: labelled images. orders: readings of the classes, the given one first.
        ran: called after each run of the model.
    """

    def __init__(
        self,
        session: Session,
        contract: Contract,
        binding: Binding,
        items: Sequence[ImageItem],
        orders: Sequence[LabelOrder],
        ran: Callable[[], None] = lambda: None,
    ) -> None:
        self._session = session
        self._contract = contract
        self._binding = binding
        self._items = items
        self._orders = orders
        self._ran = ran
        self._pictures: dict[int, NDArray[np.uint8]] = {}
        self._kept_bytes = 0
        self._seen: dict[tuple[ImageInput, int], _Seen] = {}

    @property
    def runs(self) -> int:
        """How often the model was run."""
        return len(self._seen)

    def observe(self, candidate: Candidate, images: Sequence[int]) -> Observed:
        """What the candidate says of the images at these positions.

        Raises:
            InvalidInput, ConfigError: a picture that cannot be read, or a geometry that does not
                fit one.
        """
        self._look(candidate.image, images)
        seen = [self._seen[candidate.image, i] for i in images]
        if self._contract.task == "classify":
            return Observed(
                likelihood=np.array([one.likelihood[candidate.order] for one in seen]),
                right=np.array([one.right[candidate.order] for one in seen], np.bool_),
            )
        return self._objects(candidate, images, seen)

    def _objects(
        self, candidate: Candidate, images: Sequence[int], seen: Sequence[_Seen]
    ) -> Observed:
        order = self._orders[candidate.order]
        index = np.array(order.index, np.int64)
        truths: list[Truth] = []
        found: list[Detections] = []
        for position, one in zip(images, seen, strict=True):
            truth = truth_of(self._items[position], *one.size)
            labels = index[truth.labels] if len(truth.labels) else truth.labels
            truths.append(Truth(boxes=truth.boxes, labels=labels, crowd=truth.crowd))
            found.append(one.detections[unlabelled(order)])
        values = [object_likelihood(t, d) for t, d in zip(truths, found, strict=True)]
        return Observed(likelihood=np.array(values), truths=tuple(truths), detections=tuple(found))

    def _look(self, image: ImageInput, images: Sequence[int]) -> None:
        """Run the model where this image input was not seen yet; pictures are prepared ahead."""
        missing = [i for i in images if (image, i) not in self._seen]
        single = msgspec.structs.replace(
            self._binding.image, shape=(1, *self._binding.image.shape[1:])
        )
        preprocessor = Preprocessor(image, single)
        with ThreadPoolExecutor(PREPARING_THREADS, thread_name_prefix="prepare") as pool:
            for at in range(0, len(missing), PREPARED_AT_ONCE):
                part = missing[at : at + PREPARED_AT_ONCE]
                prepare = partial(self._prepared, preprocessor)
                for position, ready in zip(part, pool.map(prepare, part), strict=True):
                    self._seen[image, position] = self._run(position, ready)
                    self._ran()

    def _prepared(self, preprocessor: Preprocessor, position: int) -> Prepared:
        return preprocessor.prepare(self._picture(position))

    def _picture(self, position: int) -> NDArray[np.uint8]:
        kept = self._pictures.get(position)
        if kept is not None:
            return kept
        rgb = read_image(self._items[position].path, self._contract.image)
        if self._kept_bytes + rgb.nbytes <= KEPT_PIXELS_BYTES:
            self._kept_bytes += rgb.nbytes
            self._pictures[position] = rgb
        return rgb

    def _run(self, position: int, ready: Prepared) -> _Seen:
        outputs = self._session.run({self._binding.image.tensor: ready.tensor})
        contract, binding = self._contract, self._binding
        back = partial(to_original, plan=ready.plan)
        if contract.task == "classify":
            result = decode(outputs, contract, binding, to_original=back)
            assert isinstance(result, Classification)
            return self._classified(self._items[position], result.probabilities)
        heads = canonical_heads(outputs, contract, binding)
        found: dict[frozenset[int], Detections] = {}
        for order in self._orders:
            if unlabelled(order) not in found:
                named = msgspec.structs.replace(contract, labels=order.labels)
                found[unlabelled(order)] = decode_heads(
                    heads, named, binding, to_original=back, policy=metric_policy(contract)
                )
        return _Seen(
            likelihood=np.empty(0),
            right=np.empty(0, np.bool_),
            size=ready.plan.original,
            detections=found,
        )

    def _classified(self, item: ImageItem, probabilities: Float) -> _Seen:
        assert item.label is not None  # unlabelled images are left out before
        likelihood, right = [], []
        for order in self._orders:
            value, hit = class_likelihood(probabilities, order, order.index[item.label])
            likelihood.append(value)
            right.append(hit)
        return _Seen(likelihood=np.array(likelihood), right=np.array(right, np.bool_))


def unlabelled(order: LabelOrder) -> frozenset[int]:
    """Indices of background and gaps."""
    return frozenset(i for i, label in enumerate(order.labels) if label is None)


def class_likelihood(probabilities: Float, order: LabelOrder, label: int) -> tuple[float, bool]:
    """Log-probability of the labelled class, and whether it is the most probable one.

    Scores that do not add up to one (a sigmoid each) are divided by their sum. Classes without a
    label never come first. The least value is that of knowing nothing, log(1 / classes), or
    `LEAST_SCORE` where that is less.
    """
    values = np.nan_to_num(probabilities.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    total = float(values.sum())
    named = np.array([text is not None for text in order.labels], np.bool_)
    first = int(np.where(named, values, -1.0).argmax())
    least = min(LEAST_SCORE, 1.0 / len(values))
    share = float(values[label]) / total if total > 0 else 0.0
    return float(np.log(max(share, least))), first == label and total > 0


def object_likelihood(truth: Truth, found: Detections) -> float:
    """Log-likelihood of an image's labelled boxes, in nats an object.

    Each labelled object counts the log of the best score of its class at IoU .5, each other
    detection the log of one less its score; what touches a crowd region counts nothing.
    """
    if not len(found.scores):
        return float(np.log(LEAST_SCORE)) if (~truth.crowd).any() else 0.0
    scores = np.clip(found.scores.astype(np.float64), LEAST_SCORE, 1.0 - LEAST_SCORE)
    same = (iou(truth.boxes, found.boxes) >= SAME_OBJECT) & (
        truth.labels[:, None] == found.classes[None]
    )
    objects = same[~truth.crowd]
    best = np.where(objects, scores[None], LEAST_SCORE).max(axis=1, initial=LEAST_SCORE)
    wrong = ~same.any(axis=0)
    total = float(np.log(best).sum() + np.log1p(-scores[wrong]).sum())
    return max(total / max(1, len(objects)), float(np.log(LEAST_SCORE)))
