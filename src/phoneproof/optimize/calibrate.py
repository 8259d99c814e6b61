"""One pass over the calibration images: what every float tensor of a network holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.events import Progress, silent
from phoneproof.core.recipe import MethodRanges, Ranges, TensorRange
from phoneproof.optimize.observers import Observer
from phoneproof.optimize.range_methods import COMPUTED, Consumer, range_by
from phoneproof.runtimes.base import Tensor, Tensors, TracingSession


@dataclass(frozen=True, kw_only=True, slots=True)
class Feed:
    """One image as the model takes it. image: its name, for messages."""

    image: str
    tensors: Tensors


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """What was seen, in two disjoint halves of the images.

    images: in both halves. halves: tensor name -> an observer for each half.
    """

    images: int
    halves: Mapping[str, tuple[Observer, Observer]]

    def ranges(self, artifact: str, consumers: Mapping[str, Consumer] | None = None) -> Ranges:
        """The ranges of every tensor by every computed method.

        Args:
            artifact: sha256 of the file that was run.
            consumers: tensor name -> what it is turned into at once, where that is known.
        """
        known = consumers or {}
        whole = {name: first.merged(second) for name, (first, second) in self.halves.items()}
        methods = []
        for method in COMPUTED:
            found = []
            for name, seen in whole.items():
                low, high = range_by(method, seen, known.get(name, "identity"))
                found.append(TensorRange(tensor=name, low=low, high=high))
            methods.append(MethodRanges(method=method, ranges=tuple(found)))
        return Ranges(artifact=artifact, methods=tuple(methods))


def calibrate(
    session: TracingSession, feeds: Iterable[Feed], *, total: int, progress: Progress = silent
) -> Calibration:
    """Run every image and watch its float tensors, inputs and outputs included.

    One image is in memory at a time, and the statistics do not grow with their number. Images
    go to the two halves by turns: feed them in an order that content does not follow, as that
    of their hashes.

    Args:
        session: opened with `open_for_trace`.
        total: how many images there are, for `progress`.

    Raises:
        OptimizationFailed: NaN or an infinity in a tensor (tensor and image named); no image.
        InvalidInput: a feed that the model does not take.
    """
    watch = _Watch()
    done = 0
    for feed in feeds:
        for name, value in feed.tensors.items():
            watch.see(name, value, feed.image, done)
        for name, value in session.trace(feed.tensors):
            watch.see(name, value, feed.image, done)
        done += 1
        progress(done, total)
    if not done:
        raise OptimizationFailed(
            "there is nothing to calibrate with",
            found="no image",
            next_step="name a folder of images under calibration in [data]",
        )
    return Calibration(images=done, halves=watch.halves)


@dataclass(frozen=True, slots=True)
class _Watch:
    halves: dict[str, tuple[Observer, Observer]] = field(default_factory=dict)

    def see(self, name: str, value: Tensor, image: str, turn: int) -> None:
        if value.dtype.kind != "f":
            return
        observers = self.halves.get(name)
        if observers is None:
            observers = self.halves[name] = (Observer(), Observer())
        observers[turn % 2].add(value, tensor=name, image=image, turn=turn // 2)
